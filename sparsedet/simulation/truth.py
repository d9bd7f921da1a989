"""The objects in the images, and a faultless review of boxes on them.

*Neutral* objects may be there but have no full annotation: a box on one is neither right nor
wrong.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import XYXY, Box, Dataset
from sparsedet.annotations.matching import Floats, iou_matrix, match
from sparsedet.atomic_io import read_json
from sparsedet.errors import AnnotationError, SparseDetError
from sparsedet.reading import ODD_VALUES
from sparsedet.reviews import ReviewedRegion

ACCEPT_IOU = 0.5
"""IoU from which a mined box of the right class is good enough to keep."""
CORRECT_IOU = 0.3
"""From here to `ACCEPT_IOU` the reviewer moves the box onto the object."""


@dataclass(frozen=True, slots=True)
class TrueObject:
    """An object in the image."""

    category: str
    """Category name."""
    xyxy: XYXY
    """Absolute pixels of the upright image."""


def true_objects(truth: Dataset) -> Mapping[str, Sequence[TrueObject]]:
    """Return the objects of every image, by file name, without crowd regions."""
    return {
        image.file_name: [
            TrueObject(truth.category_by_id[box.category_id].name, box.xyxy)
            for box in truth.boxes_by_image[image.id]
            if not box.iscrowd
        ]
        for image in truth.images
    }


def read_neutral(path: Path, truth: Dataset) -> tuple[Box, ...]:
    """Read objects without labels in `truth`: a COCO results list of its images (XYWH boxes).

    Returns:
        Boxes with ids from 1 in file order; scores are not used.

    Raises:
        AnnotationError: naming the file and the entry that is broken or belongs elsewhere.
    """
    try:
        entries = read_json(path)
    except SparseDetError as error:
        raise AnnotationError(str(error)) from error
    if not isinstance(entries, list):
        raise AnnotationError(f"{path}: not a COCO results list")
    boxes: list[Box] = []
    for index, entry in enumerate(entries):
        try:
            image_id, category_id = entry["image_id"], entry["category_id"]
            x, y, width, height = (float(value) for value in entry["bbox"])
        except ODD_VALUES as error:
            raise AnnotationError(
                f"{path}: entry {index}: invalid COCO result ({error!r}); needs image_id, "
                "category_id and bbox"
            ) from error
        xyxy = x, y, x + width, y + height
        if not all(map(math.isfinite, xyxy)) or min(width, height) <= 0:
            raise AnnotationError(f"{path}: entry {index}: bbox {entry['bbox']} has no area")
        for key, value, known in (
            ("image", image_id, truth.image_by_id),
            ("category", category_id, truth.category_by_id),
        ):
            if not isinstance(value, int) or value not in known:
                raise AnnotationError(
                    f"{path}: entry {index}: {key} {value!r} is not in the full annotations"
                )
        boxes.append(Box(len(boxes) + 1, image_id, category_id, xyxy))
    return tuple(boxes)


def review_regions(
    offered: Sequence[ReviewedRegion],
    scores: Mapping[str, float],
    objects: Sequence[TrueObject],
    neutral: Sequence[TrueObject] = (),
) -> list[ReviewedRegion]:
    """Return the boxes after a review without errors: people's boxes, then mined ones.

    People's own boxes stay, and are matched first. A mined box stays if it shows an object of its
    class without another box; it becomes unsure if that object is neutral; it is moved onto the
    object if it fits only partly. Other boxes get the class of an object without a box, and are
    deleted if there is none.

    Args:
        offered: all boxes on the image, people's and mined ones.
        scores: region id -> score of mined boxes.
        objects: the true objects.
        neutral: possible objects without a label.
    """
    people = [region for region in offered if region.region_id not in scores]
    mined = sorted(
        (region for region in offered if region.region_id in scores),
        key=lambda region: -scores[region.region_id],
    )
    everything = [*objects, *neutral]
    overlap = _overlap([*people, *mined], everything)
    matches = _assign(overlap, len(people), len(objects))
    others = _of_other_classes(mined, objects, matches)
    kept = list(people)
    for row, region in enumerate(mined):
        column, other = matches[len(people) + row], others[row]
        if other >= 0:
            kept.append(replace(region, category=objects[other].category, unsure=False))
        elif column >= 0:
            fits = overlap[len(people) + row, column] >= ACCEPT_IOU
            xyxy = region.xyxy if fits else everything[column].xyxy
            kept.append(replace(region, xyxy=xyxy, unsure=bool(column >= len(objects))))
    return kept


def missing_objects(
    regions: Sequence[ReviewedRegion], objects: Sequence[TrueObject]
) -> list[TrueObject]:
    """Return those of `objects` without a box of their own and their class, IoU 0.5 or more.

    Unsure boxes don't count.
    """
    sure = [region for region in regions if not region.unsure]
    shown = set(match(_overlap(sure, objects), ACCEPT_IOU).tolist())
    return [thing for column, thing in enumerate(objects) if column not in shown]


def _assign(overlap: Floats, people: int, objects: int) -> NDArray[np.int64]:
    """Match every box to an object; return its column in `overlap`, -1 if none is left.

    Good fits are matched before partial ones, so that a partial fit can't take the object of a
    good one.

    Args:
        overlap: shape (boxes, things), 0 if the classes differ.
        people: number of first rows that are people's boxes, which choose first.
        objects: number of first columns that are true objects; the others are neutral.
    """
    free = overlap.copy()
    matches = np.full(len(overlap), -1, dtype=np.int64)
    true, neutral = slice(objects), slice(objects, None)
    for rows in (range(people), range(people, len(overlap))):
        for columns, least in ((true, ACCEPT_IOU), (neutral, ACCEPT_IOU), (true, CORRECT_IOU)):
            open_rows = [row for row in rows if matches[row] < 0]
            found = match(free[open_rows, columns], least)
            for row, column in zip(open_rows, found, strict=True):
                if column >= 0:
                    matches[row] = (columns.start or 0) + column
                    free[:, matches[row]] = -1
    return matches


def _of_other_classes(
    mined: Sequence[ReviewedRegion], objects: Sequence[TrueObject], matches: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the column of a free object of another class for each mined box, -1: none.

    Args:
        mined: mined boxes.
        objects: the true objects.
        matches: matches of people's and mined boxes within their class, see `_assign`.
    """
    ious = iou_matrix([region.xyxy for region in mined], [thing.xyxy for thing in objects])
    ious[matches[len(matches) - len(mined) :] >= 0] = 0
    ious[:, [column for column in matches if 0 <= column < len(objects)]] = 0
    return match(ious, ACCEPT_IOU)


def _overlap(regions: Sequence[ReviewedRegion], objects: Sequence[TrueObject]) -> Floats:
    """Return the IoU of every region and object, shape (regions, objects); 0 across classes."""
    same_class = np.array(
        [[region.category == thing.category for thing in objects] for region in regions],
        dtype=np.bool_,
    ).reshape(len(regions), len(objects))
    ious = iou_matrix([region.xyxy for region in regions], [thing.xyxy for thing in objects])
    return ious * same_class
