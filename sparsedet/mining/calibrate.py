"""Per-class score thresholds, read off the boxes that people drew.

How high a model scores depends on the data, the class and how sparse the labels are: a fixed
threshold finds nothing on one dataset and everything on another. The scores that the model gives to
human boxes say what a real object of the class looks like to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import Dataset
from sparsedet.mining.detect import Detections
from sparsedet.mining.matching import iou_matrix

MATCH_IOU = 0.5
"""A detection with the class and this IoU scores a human box."""
MIN_BOXES = 10
"""Classes with fewer scored human boxes share a threshold with the others."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Per category id: from which score a detection is sure, and from which it is in doubt."""

    sure: Mapping[int, float]
    doubtful: Mapping[int, float]


def thresholds(
    detections: Sequence[Detections],
    dataset: Dataset,
    *,
    sure_quantile: float,
    doubtful_quantile: float,
    max_threshold: float,
) -> Thresholds:
    """Return the quantiles of the scores on human boxes, class by class, capped.

    Human boxes that the model did not find at all have no score and are left out; where the model
    scores no human box at all, nothing is sure (threshold 1).
    """
    scores = human_box_scores(detections, dataset)
    pooled = np.concatenate([np.zeros(0), *scores.values()])

    def quantile(category_id: int, share: float) -> float:
        own = scores[category_id]
        basis = own if len(own) >= MIN_BOXES else pooled
        return min(float(np.quantile(basis, share)), max_threshold) if len(basis) else 1.0

    ids = [category.id for category in dataset.categories]
    return Thresholds(
        sure={number: quantile(number, sure_quantile) for number in ids},
        doubtful={number: quantile(number, doubtful_quantile) for number in ids},
    )


def human_box_scores(
    detections: Sequence[Detections], dataset: Dataset
) -> dict[int, NDArray[np.float64]]:
    """Return, per category id, the best score that the model gives to each human box it finds."""
    scores: dict[int, list[float]] = {category.id: [] for category in dataset.categories}
    for found in detections:
        boxes = [box for box in dataset.boxes_by_image[found.image_id] if not box.iscrowd]
        if not boxes or not len(found.scores):
            continue
        overlap = iou_matrix(found.boxes, [box.xyxy for box in boxes])
        classes = np.array([box.category_id for box in boxes])
        matches = (overlap >= MATCH_IOU) & (found.category_ids[:, None] == classes)
        best = np.where(matches, found.scores[:, None], 0).max(axis=0)
        for box, score in zip(boxes, best, strict=True):
            if score > 0:
                scores[box.category_id].append(float(score))
    return {number: np.array(values) for number, values in scores.items()}
