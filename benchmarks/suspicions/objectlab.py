"""The ranking of cleanlab's ObjectLab: scores for badly placed boxes and for swapped classes.

Tkachenko, Thyagarajan, Mueller: ObjectLab, 2023. cleanlab is only used by this benchmark, and
installed by hand.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import Dataset
from sparsedet.annotations.matching import iou_matrix
from sparsedet.mining.detections import Detections

from .figures import Scores


def objectlab(dataset: Dataset, detections: Sequence[Detections]) -> Scores:
    """Return ObjectLab's suspicion of each box, from 0 to 1.

    Its scores of overlooked boxes belong to detections; each counts for the annotation that the
    detection overlaps most. ObjectLab has no score for duplicates: there all three count together.
    """
    try:
        # It has no type annotations.
        from cleanlab.object_detection.rank import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
            compute_badloc_box_scores,
            compute_overlooked_box_scores,
            compute_swap_box_scores,
        )
    except ModuleNotFoundError:
        raise SystemExit("this benchmark needs cleanlab: pip install cleanlab") from None
    index = {category.id: number for number, category in enumerate(dataset.categories)}
    own = [
        [box for box in dataset.boxes_by_image[found.image_id] if not box.iscrowd]
        for found in detections
    ]
    inputs = {
        "labels": [
            {
                "bboxes": np.array([box.xyxy for box in boxes]).reshape(-1, 4),
                "labels": np.array([index[box.category_id] for box in boxes], dtype=int),
            }
            for boxes in own
        ],
        "predictions": [_by_class(found, index) for found in detections],
    }
    badly_placed = compute_badloc_box_scores(**inputs)
    swapped = compute_swap_box_scores(**inputs)
    overlooked = compute_overlooked_box_scores(**inputs)
    scores = Scores()
    for row, boxes in enumerate(own):
        missed = _of_annotations(overlooked[row], detections[row], index, [b.xyxy for b in boxes])
        for column, box in enumerate(boxes):
            place, swap = 1 - badly_placed[row][column], 1 - swapped[row][column]
            scores.add(box.id, {"place": place, "class": swap}, max(place, swap, missed[column]))
    return scores


def _by_class(found: Detections, index: dict[int, int]) -> NDArray[np.object_]:
    """Return detections in cleanlab's format: for each class, rows of a box and its score."""
    classes = np.array([index[int(id)] for id in found.category_ids], dtype=int)
    rows = np.hstack([found.boxes, found.scores[:, None]])
    result = np.empty(len(index), dtype=object)
    for number in index.values():
        result[number] = rows[classes == number]
    return result


def _of_annotations(
    scores: NDArray[np.float64],
    found: Detections,
    index: dict[int, int],
    boxes: Sequence[tuple[float, ...]],
) -> NDArray[np.float64]:
    """Return the largest suspicion among detections that overlap each annotation most."""
    worst = np.zeros(len(boxes))
    if not len(boxes) or not len(found.scores):
        return worst
    order = np.argsort([index[int(id)] for id in found.category_ids], kind="stable")
    overlap = iou_matrix(found.boxes[order], boxes)
    for row, score in enumerate(scores):
        column = int(overlap[row].argmax())
        if overlap[row, column] > 0 and not np.isnan(score):
            worst[column] = max(worst[column], 1 - score)
    return worst
