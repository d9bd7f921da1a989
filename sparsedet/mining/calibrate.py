"""Score thresholds from a model's scores of boxes that people drew.

Scores depend on the data, the class and the sparsity of labels: a fixed threshold finds nothing on
one dataset and everything on another. The scores of annotated objects show how the model scores
objects of each class.

A model overrates the boxes that it trained on: thresholds from these are high, and find less.

An object may be certain while its class is not: each has thresholds of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import Box, Category, Dataset
from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix
from sparsedet.config.sections import MiningConfig
from sparsedet.mining.detections import Detections

MIN_BOXES = 10
"""Classes with fewer scored boxes share thresholds."""
NEVER = 1.01
"""A threshold that no score reaches."""


@dataclass(frozen=True, slots=True)
class ScoredBox:
    """An annotated object that the model found, and its best detection, of any class."""

    box: Box
    """The annotation."""
    score: float
    """The detection's score, for its own class."""
    object_score: float
    """Probability of an object of any class, at least the score."""
    right: bool
    """Whether the detection's class is the object's."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Score thresholds; by category id where they depend on the class."""

    sure: Mapping[int, float]
    """Score: an object of its class, to show to people."""
    ignored: Mapping[int, float]
    """Object score: possibly an object, an ignore region."""
    sure_class: float
    """Score: of this class, if it is an object."""


def scored_boxes(detections: Sequence[Detections], dataset: Dataset) -> list[ScoredBox]:
    """Return the model's scores of annotated objects that it found.

    Args:
        detections: of the dataset's images.
        dataset: its annotations; excludes crowd regions.
    """
    scored = []
    for found in detections:
        own = [box for box in dataset.boxes_by_image[found.image_id] if not box.iscrowd]
        overlap = iou_matrix(found.boxes, [box.xyxy for box in own])
        for box, ious in zip(own, overlap.T, strict=True):
            on_box = np.flatnonzero(ious >= SAME_OBJECT_IOU)
            if len(on_box):
                best = on_box[found.scores[on_box].argmax()]
                scored.append(
                    ScoredBox(
                        box=box,
                        score=float(found.scores[best]),
                        object_score=float(found.object_scores[best]),
                        right=bool(found.category_ids[best] == box.category_id),
                    )
                )
    return scored


def thresholds(
    scored: Sequence[ScoredBox], categories: Sequence[Category], config: MiningConfig
) -> Thresholds:
    """Return thresholds for each of `categories`.

    Objects that the model did not find have no score and are ignored; if it found none at all,
    nothing is certain.
    """
    category_ids = np.array([one.box.category_id for one in scored], dtype=np.int64)
    scores = np.array([one.score for one in scored])
    object_scores = np.array([one.object_score for one in scored])
    right = np.array([one.right for one in scored], dtype=bool)

    def quantiles(
        values: NDArray[np.float64],
        used: NDArray[np.bool_],
        share: float,
        least: float,
        most: float,
    ) -> dict[int, float]:
        result = {}
        for category in categories:
            own = values[used & (category_ids == category.id)]
            basis = own if len(own) >= MIN_BOXES else values[used]
            result[category.id] = (
                float(np.clip(np.quantile(basis, share), least, most)) if len(basis) else NEVER
            )
        return result

    every = np.ones(len(scored), dtype=bool)
    return Thresholds(
        sure=quantiles(scores, right, config.quantile, 0, config.max_threshold),
        ignored=quantiles(object_scores, every, config.ignore_quantile, *config.ignore_range),
        sure_class=_least_score(scores, right, config.class_precision),
    )


def _least_score(scores: NDArray[np.float64], right: NDArray[np.bool_], precision: float) -> float:
    """Return the least score above which the classes are right with the wanted precision.

    The precision is estimated by Laplace's rule of succession: few boxes prove little.
    """
    order = np.argsort(-scores, kind="stable")
    counts = np.arange(1, len(scores) + 1)
    estimates = (np.cumsum(right[order]) + 1) / (counts + 2)
    # Equal scores are above a threshold together.
    last_of_equal = np.append(np.diff(scores[order]) != 0, True)[: len(scores)]
    reached = np.flatnonzero(last_of_equal & (estimates >= precision))
    return float(scores[order][reached[-1]]) if len(reached) else NEVER
