"""What is really in the images, and what a faultless reviewer makes of boxes on them.

*Neutral* objects are those that may be there but that the full annotations lack: a box on one is
neither right nor wrong.
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
"""A mined box of the right class with this IoU is good enough to keep."""
CORRECT_IOU = 0.3
"""From here to `ACCEPT_IOU` the reviewer draws the box where it belongs."""


@dataclass(frozen=True, slots=True)
class TrueObject:
    """An object that is really in the image."""

    category: str
    """The name of its category."""
    xyxy: XYXY
    """Absolute pixels of the upright image."""


def true_objects(truth: Dataset) -> Mapping[str, Sequence[TrueObject]]:
    """Return the objects of every image, by file name, crowd regions left out."""
    return {
        image.file_name: [
            TrueObject(truth.category_by_id[box.category_id].name, box.xyxy)
            for box in truth.boxes_by_image[image.id]
            if not box.iscrowd
        ]
        for image in truth.images
    }


def read_neutral(path: Path, truth: Dataset) -> tuple[Box, ...]:
    """Read objects that the labels of `truth` lack: a COCO results list of its images (XYWH boxes).

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
                f"{path}: entry {index} is no COCO result ({error!r}); it needs image_id, "
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
    """Return the boxes that remain after a review without mistakes: people's boxes, then mined.

    People's own boxes stay, and take their objects first. A mined box stays where it shows an
    object of its class that no other box shows; it is unsure where that object is a neutral one; it
    is moved onto the object where it half fits. What is left over is given the class of an object
    that no box shows, and is deleted where there is none.

    Args:
        offered: all boxes on the image, people's and mined ones.
        scores: region id -> score, of the mined ones.
        objects: what is really there.
        neutral: what may be there, but the labels lack.
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
    """Return those of `objects` that lack a box of their class and their own, IoU 0.5 or more.

    Boxes that are unsure don't count.
    """
    sure = [region for region in regions if not region.unsure]
    shown = set(match(_overlap(sure, objects), ACCEPT_IOU).tolist())
    return [thing for column, thing in enumerate(objects) if column not in shown]


def _assign(overlap: Floats, people: int, objects: int) -> NDArray[np.int64]:
    """Give every box an object of its own; return its column in `overlap`, -1 where none is left.

    Good fits are given out before half fits, so that a half fit can't take the object of a good
    one.

    Args:
        overlap: shape (boxes, things), 0 where the classes differ.
        people: the first that many rows are people's boxes, which choose first.
        objects: the first that many columns are true objects, the others neutral ones.
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
    """Return the column of a free object of another class that each mined box fits, -1: none.

    Args:
        mined: mined boxes.
        objects: what is really there.
        matches: what people's and mined boxes have of their own class, see `_assign`.
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
