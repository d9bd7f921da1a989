"""A scripted reviewer who knows every object: plays the person in demos, tests and benchmarks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sparsedet.annotations import XYXY, Dataset
from sparsedet.mining.matching import iou_matrix, match
from sparsedet.tool import ReviewedRegion

ACCEPT_IOU = 0.5
"""A mined box of the right class with this IoU is good enough to keep."""
CORRECT_IOU = 0.3
"""From here to `ACCEPT_IOU` the reviewer draws the box where it belongs."""


@dataclass(frozen=True, slots=True)
class TrueObject:
    """An object that is really in the image."""

    category: str
    xyxy: XYXY


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


def review_regions(
    offered: Sequence[ReviewedRegion],
    scores: Mapping[str, float],
    objects: Sequence[TrueObject],
) -> list[ReviewedRegion]:
    """Return the boxes that remain after a review.

    People's own boxes stay. A mined box stays where it shows an object of its class that no other
    box shows, is moved onto the object where it half fits, and is deleted otherwise.

    Args:
        offered: all boxes on the image, people's and mined ones.
        scores: region id -> score, of the mined ones.
        objects: what is really there.
    """
    kept = [region for region in offered if region.region_id not in scores]
    mined = sorted(
        (region for region in offered if region.region_id in scores),
        key=lambda region: -scores[region.region_id],
    )
    ordered = [*kept, *mined]
    overlap = iou_matrix(
        [region.xyxy for region in ordered], [thing.xyxy for thing in objects]
    ) * _same_class(ordered, objects)
    matches = match(overlap, CORRECT_IOU)
    for row in range(len(kept), len(ordered)):
        column = matches[row]
        if column < 0:
            continue
        fits = overlap[row, column] >= ACCEPT_IOU
        kept.append(ordered[row] if fits else replace(ordered[row], xyxy=objects[column].xyxy))
    return kept


def _same_class(
    regions: Sequence[ReviewedRegion], objects: Sequence[TrueObject]
) -> "np.ndarray[tuple[int, int], np.dtype[np.bool_]]":
    """Return, shape (regions, objects), whether region and object have one class."""
    return np.array(
        [[region.category == thing.category for thing in objects] for region in regions],
        dtype=np.bool_,
    ).reshape(len(regions), len(objects))
