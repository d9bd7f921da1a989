"""Which objects a model finds, crowded ones and others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import Dataset
from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix, match
from sparsedet.mining.detections import Detections

PRECISION = 0.8
"""Of the surest detections on whose recall two methods are compared."""


@dataclass(frozen=True)
class Recall:
    """Shares of objects that are found, 0 to 100; nan of none."""

    crowded: float
    others: float
    crowded_when_precise: float
    """By the surest detections, of which `PRECISION` are right."""
    others_when_precise: float


@dataclass(frozen=True)
class _Matches:
    scores: NDArray[np.float64]
    """Shape (N,): of all detections, the surest first."""
    found: NDArray[np.int64]
    """Shape (N,): the id of the object that each of them finds; -1: none."""


def recall(detections: Sequence[Detections], dataset: Dataset, crowded: set[int]) -> Recall:
    """Return the recall of detections at IoU 0.5, one to one, within image and class.

    Args:
        detections: of each image of the dataset.
        dataset: all objects.
        crowded: the ids of the crowded ones.
    """
    matches = _match(detections, dataset)
    right = np.cumsum(matches.found >= 0)
    precise = right >= PRECISION * np.arange(1, len(right) + 1)
    last = int(np.flatnonzero(precise)[-1]) + 1 if precise.any() else 0
    others = {box.id for box in dataset.boxes} - crowded
    everything, surest = set(matches.found.tolist()), set(matches.found[:last].tolist())
    return Recall(
        _share(crowded, everything),
        _share(others, everything),
        _share(crowded, surest),
        _share(others, surest),
    )


def _share(objects: set[int], found: set[int]) -> float:
    return 100 * len(objects & found) / len(objects) if objects else float("nan")


def _match(detections: Sequence[Detections], dataset: Dataset) -> _Matches:
    scores, found = [], []
    for image in detections:
        boxes = dataset.boxes_by_image.get(image.image_id, ())
        order = np.argsort(-image.scores, kind="stable")
        own = np.array([box.category_id for box in boxes])
        overlap = iou_matrix(image.boxes[order], [box.xyxy for box in boxes])
        overlap = np.where(image.category_ids[order][:, None] == own, overlap, 0.0)
        ids = np.array([box.id for box in boxes] + [-1])
        found.append(ids[match(overlap, SAME_OBJECT_IOU)])
        scores.append(image.scores[order])
    all_scores = np.concatenate([np.zeros(0), *scores])
    order = np.argsort(-all_scores, kind="stable")
    return _Matches(all_scores[order], np.concatenate([np.zeros(0, np.int64), *found])[order])
