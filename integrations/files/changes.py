"""What has to change in a project's annotations so that they say what the reviews say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from sparsedet.annotations import Box, Dataset, Image
from sparsedet.annotations.entries import DECIMALS, xywh
from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix
from sparsedet.errors import ToolError
from sparsedet.tool import ReviewedRegion

from .verdicts import Verdict, differs


@dataclass(frozen=True, slots=True)
class Changes:
    """What has to change on one image."""

    added: Sequence[tuple[ReviewedRegion, str]]
    """Boxes and their origins."""
    edited: Mapping[int, ReviewedRegion]
    """Annotation id -> the box as it should be."""
    removed: frozenset[int]
    """Annotation ids."""
    marks_complete: bool

    def __bool__(self) -> bool:
        return bool(self.added or self.edited or self.removed or self.marks_complete)

    def regions(self) -> list[ReviewedRegion]:
        """Return the boxes that will stand where they do not stand now."""
        return [*self.edited.values(), *(region for region, _ in self.added)]


def changes_to(source: Dataset, image: Image, verdict: Verdict) -> Changes:
    """Return what brings an image of `source` to the verdict, boxes known by their tool ids."""
    boxes = {box.tool_id: box for box in source.boxes_by_image[image.id]}
    added: list[tuple[ReviewedRegion, str]] = []
    standing = [region for id, region in verdict.kept.items() if id in boxes]
    for id, region in verdict.kept.items():
        # Two reviewers may have drawn the same object.
        if id not in boxes and not _is_among(region, standing):
            added.append((region, verdict.origins[id]))
            standing.append(region)
    return Changes(
        added=added,
        edited={
            boxes[id].id: region
            for id, region in verdict.kept.items()
            if id in boxes and _differs(source, region, boxes[id])
        },
        removed=frozenset(boxes[id].id for id in verdict.gone if id in boxes),
        marks_complete=verdict.complete and not image.exhaustive,
    )


def holds_already(source: Dataset, image: Image, verdict: Verdict) -> bool:
    """Whether an image of `source` agrees with the verdict by the places of its boxes.

    So it does when somebody took the merged file into another tool, which numbered all boxes anew.
    """
    if verdict.complete and not image.exhaustive:
        return False
    left = list(source.boxes_by_image[image.id])
    for region in verdict.kept.values():
        same = next((box for box in left if not _differs(source, region, box)), None)
        if same is None:
            return False
        left.remove(same)
    return all(_differs(source, region, box) for region in verdict.gone.values() for box in left)


def apply_changes(
    content: dict[str, Any], source: Dataset, changes: Mapping[int, Changes], path: str
) -> None:
    """Change the parsed content of a COCO file; everything else in it stays as it is.

    Args:
        content: of the file.
        source: the same content, read.
        changes: by image id.
        path: the file, for errors.

    Raises:
        ToolError: when the file lacks a category.
    """
    ids = {category.name: category.id for category in source.categories}
    used = {region.category for change in changes.values() for region in change.regions()}
    if missing := used - ids.keys():
        raise ToolError(
            f"{path}: has no category {min(missing)!r}, which a review uses; add it to the file's "
            "categories"
        )
    entries = {entry["id"]: entry for entry in content["annotations"]}
    numbers = count(max(entries, default=0) + 1)
    for image_id, change in changes.items():
        for box_id in change.removed:
            del entries[box_id]
        for box_id, region in change.edited.items():
            entry = entries[box_id]
            entry |= {"category_id": ids[region.category], "bbox": xywh(region.xyxy)}
            if "segmentation" not in entry:  # else the area is that of the mask
                entry["area"] = _area(region)
        for region, origin in change.added:
            number = next(numbers)
            entries[number] = {
                "id": number,
                "image_id": image_id,
                "category_id": ids[region.category],
                "bbox": xywh(region.xyxy),
                "area": _area(region),
                "iscrowd": 0,
                "origin": origin,
                "tool_id": region.region_id,
            }
    content["annotations"] = list(entries.values())
    for entry in content["images"]:
        if entry["id"] in changes and changes[entry["id"]].marks_complete:
            entry["exhaustive"] = True


def _is_among(region: ReviewedRegion, others: Sequence[ReviewedRegion]) -> bool:
    """Whether one of the others shows the same object."""
    alike = [other.xyxy for other in others if other.category == region.category]
    return bool((iou_matrix([region.xyxy], alike) >= SAME_OBJECT_IOU).any())


def _differs(source: Dataset, region: ReviewedRegion, box: Box) -> bool:
    return differs(region, source.category_by_id[box.category_id].name, box.xyxy)


def _area(region: ReviewedRegion) -> float:
    left, top, right, bottom = region.xyxy
    return round((right - left) * (bottom - top), DECIMALS)
