"""What all reviews of an image say together, and what that changes in its annotations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparsedet.annotations import XYXY, Box, Dataset, Image
from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix
from sparsedet.tool import MOVED_PIXELS, ReviewedImage, ReviewedRegion

from .review_files import Offer, ReviewVersion
from .reviewed_images import read_reviewed


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the annotations of an image should be. What it does not name stays as it is."""

    kept: Mapping[str, ReviewedRegion]
    """Region id -> the box as it should be."""
    origins: Mapping[str, str]
    """Region id -> `human`, `accepted` or `edited`, of the boxes in `kept`."""
    gone: Mapping[str, ReviewedRegion]
    """Region id -> the box as it was pushed, of those that should be removed."""
    complete: bool
    version: str | None
    """The state of the annotations that the reviews start from, an `Image.tool_version`."""
    later: frozenset[str | None]
    """States of the annotations from which reviews start that are still open."""


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
        """Return the boxes that are new or changed."""
        return [*self.edited.values(), *(region for region, _ in self.added)]


def read_verdicts(versions: Sequence[ReviewVersion]) -> dict[str, Verdict]:
    """Return the verdicts on all reviewed images, by their tool ids.

    Of several reviews that start from the same annotations the later one adds to the earlier. A
    review that starts from older annotations than the last is history: it has been merged into
    what the last one shows, or those annotations had changed before it could be.

    Args:
        versions: oldest first.
    """
    reviews = [read_reviewed(version) for version in versions]
    shown: dict[str, list[tuple[Offer, ReviewedImage | None]]] = {}
    for version, reviewed in zip(versions, reviews, strict=True):
        for tool_id, offer in version.offers.items():
            shown.setdefault(tool_id, []).append((offer, reviewed.get(tool_id)))
    return {
        tool_id: _verdict(rounds)
        for tool_id, rounds in shown.items()
        if any(review is not None for _, review in rounds)
    }


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
            if id in boxes and _box_differs(source, region, boxes[id])
        },
        removed=frozenset(boxes[id].id for id in verdict.gone if id in boxes),
        marks_complete=verdict.complete and not image.exhaustive,
    )


def holds_already(source: Dataset, image: Image, verdict: Verdict) -> bool:
    """Whether an image of `source` agrees with the verdict by the places of its boxes.

    So it does after the merged file went through another tool, which renumbered all boxes.
    """
    if verdict.complete and not image.exhaustive:
        return False
    left = list(source.boxes_by_image[image.id])
    for region in verdict.kept.values():
        same = next((box for box in left if not _box_differs(source, region, box)), None)
        if same is None:
            return False
        left.remove(same)
    return all(
        _box_differs(source, region, box) for region in verdict.gone.values() for box in left
    )


def _verdict(rounds: Sequence[tuple[Offer, ReviewedImage | None]]) -> Verdict:
    last = max(index for index, (_, review) in enumerate(rounds) if review is not None)
    version = rounds[last][0].image.tool_version
    kept: dict[str, ReviewedRegion] = {}
    origins: dict[str, str] = {}
    gone: dict[str, ReviewedRegion] = {}
    complete = False
    for offer, review in rounds:
        if review is None or offer.image.tool_version != version:
            continue
        complete = review.complete
        regions = {region.region_id: region for region in review.regions}
        for id, before in {**offer.human, **offer.mined}.items():
            if id not in regions:
                kept.pop(id, None)
                gone[id] = before
        for id, region in regions.items():
            known = id in kept or id in gone
            if region.unsure or (known and _is_untouched(offer, region)):
                continue  # an annotation that this reviewer left alone is as the earlier one said
            gone.pop(id, None)
            kept[id] = region
            origins[id] = _origin(offer, region)
    return Verdict(
        kept=kept,
        origins=origins,
        gone=gone,
        complete=complete,
        version=version,
        later=frozenset(offer.image.tool_version for offer, _ in rounds[last + 1 :]),
    )


def _is_untouched(offer: Offer, region: ReviewedRegion) -> bool:
    before = offer.human.get(region.region_id)
    return before is not None and not _differs(before, region.category, region.xyxy)


def _origin(offer: Offer, region: ReviewedRegion) -> str:
    before = offer.mined.get(region.region_id)
    if before is None:
        return "human"
    return "edited" if _differs(before, region.category, region.xyxy) else "accepted"


def _is_among(region: ReviewedRegion, others: Sequence[ReviewedRegion]) -> bool:
    """Whether one of the others shows the same object."""
    alike = [other.xyxy for other in others if other.category == region.category]
    return bool((iou_matrix([region.xyxy], alike) >= SAME_OBJECT_IOU).any())


def _differs(region: ReviewedRegion, category: str, xyxy: XYXY) -> bool:
    """Whether a box has another class, or lies elsewhere, than `region`."""
    moved = max(abs(a - b) for a, b in zip(region.xyxy, xyxy, strict=True))
    return region.category != category or moved > MOVED_PIXELS


def _box_differs(source: Dataset, region: ReviewedRegion, box: Box) -> bool:
    return _differs(region, source.category_by_id[box.category_id].name, box.xyxy)
