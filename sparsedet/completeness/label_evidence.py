"""What a model's detections say of each annotation, in columns.

The model was trained on these very annotations, faults included, and has partly learnt them. What
gives a fault away is small then: a second class that scores a little, a surer box nearby. So
nothing is read off these numbers alone; `suspicions` compares them with those of other boxes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import Box, Dataset
from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix
from sparsedet.mining.detections import Detections

NO_SCORE = 0.01
"""Stands for the score of what was not detected: below the least score of candidates."""
_NEAR_IOU = 0.1
"""A detection that overlaps an annotation so much may show its object, if no other explains it."""
_FITS_IOU = 0.65
"""A detection that overlaps an annotation so much says that its place is right."""
_NONE = -1


@dataclass(frozen=True)
class LabelEvidence:
    """Annotations in columns, without crowd regions, image by image."""

    boxes: tuple[Box, ...]
    category_ids: NDArray[np.int64]
    hidden: NDArray[np.bool_]
    """The model was not trained on it."""
    own: NDArray[np.float64]
    """The best score of its class on it, 0 to 1."""
    other: NDArray[np.float64]
    """The best score of another class on it, 0 to 1, where no annotation of that class explains it
    better."""
    other_class: NDArray[np.int64]
    """That class; -1: none was detected."""
    fit: NDArray[np.float64]
    """IoU with the surest detection of its class that shows no other annotation's object."""
    fit_score: NDArray[np.float64]
    """That detection's score; 0: there is none."""
    fit_box: NDArray[np.float64]
    """Shape (N, 4): its place, XYXY in absolute pixels of the upright image."""
    support: NDArray[np.float64]
    """The best score of its class of the detections that fit its place."""
    best: NDArray[np.float64]
    """How well any detection fits: the largest product of IoU and object score."""
    twin: NDArray[np.int64]
    """Row of the annotation of the class that overlaps it most; -1: none overlaps it."""
    twin_iou: NDArray[np.float64]
    """Their IoU."""
    apart: NDArray[np.float64]
    """How sure the model is that these two are different objects, 0 to 1: the lower score of the
    best detections of the class that lie nearer to one of them, and nearer to the other."""

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def xyxy(self) -> NDArray[np.float64]:
        """Shape (N, 4): the annotations' places, XYXY in absolute pixels."""
        return np.array([box.xyxy for box in self.boxes], dtype=np.float64).reshape(-1, 4)


def label_evidence(
    detections: Sequence[Detections], dataset: Dataset, hidden: Collection[int] = ()
) -> LabelEvidence:
    """Return what detections say of the annotations of their images.

    Args:
        detections: of the dataset's images, of low scores too, found as for candidates.
        dataset: the annotations.
        hidden: ids of those that the model was not trained on.
    """
    rows: list[_Row] = []
    boxes: list[Box] = []
    for found in detections:
        own = [box for box in dataset.boxes_by_image[found.image_id] if not box.iscrowd]
        rows += _of_image(found, own, first=len(boxes))
        boxes += own
    unseen = set(hidden)
    return LabelEvidence(
        boxes=tuple(boxes),
        category_ids=np.array([box.category_id for box in boxes], dtype=np.int64),
        hidden=np.array([box.id in unseen for box in boxes], dtype=bool),
        own=np.array([row.own for row in rows], dtype=np.float64),
        other=np.array([row.other for row in rows], dtype=np.float64),
        other_class=np.array([row.other_class for row in rows], dtype=np.int64),
        fit=np.array([row.fit for row in rows], dtype=np.float64),
        fit_score=np.array([row.fit_score for row in rows], dtype=np.float64),
        fit_box=np.array([row.fit_box for row in rows], dtype=np.float64).reshape(-1, 4),
        support=np.array([row.support for row in rows], dtype=np.float64),
        best=np.array([row.best for row in rows], dtype=np.float64),
        twin=np.array([row.twin for row in rows], dtype=np.int64),
        twin_iou=np.array([row.twin_iou for row in rows], dtype=np.float64),
        apart=np.array([row.apart for row in rows], dtype=np.float64),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    own: float
    other: float
    other_class: int
    fit: float
    fit_score: float
    fit_box: tuple[float, ...]
    support: float
    best: float
    twin: int
    twin_iou: float
    apart: float


def _of_image(found: Detections, own: Sequence[Box], first: int) -> list[_Row]:
    """Return a row for each annotation of an image; `first` is the number of the first one."""
    places = [box.xyxy for box in own]
    classes = np.array([box.category_id for box in own], dtype=np.int64)
    overlap = iou_matrix(found.boxes, places)
    # Of each detection, how well the annotations of its class fit it, at best.
    alike = found.category_ids[:, None] == classes
    explained = np.where(alike, overlap, 0.0)
    among = iou_matrix(places, places) * (classes[:, None] == classes)
    np.fill_diagonal(among, 0.0)
    rows = []
    for column in range(len(own)):
        ious, same = overlap[:, column], alike[:, column]
        others = np.delete(explained, column, axis=1).max(axis=1, initial=0.0)
        free = others <= ious
        on_it = (ious >= SAME_OBJECT_IOU) & free
        own_score = found.scores[(ious >= SAME_OBJECT_IOU) & same].max(initial=NO_SCORE)
        second = _argmax(np.where(on_it & ~same, found.scores, 0.0))
        near = _argmax(np.where(same & free & (ious >= _NEAR_IOU), found.scores, 0.0))
        twin = _argmax(among[column])
        rows.append(
            _Row(
                own=float(own_score),
                other=NO_SCORE if second == _NONE else float(found.scores[second]),
                other_class=_NONE if second == _NONE else int(found.category_ids[second]),
                fit=0.0 if near == _NONE else float(ious[near]),
                fit_score=0.0 if near == _NONE else float(found.scores[near]),
                fit_box=places[column] if near == _NONE else tuple(found.boxes[near].tolist()),
                support=float(found.scores[(ious >= _FITS_IOU) & same].max(initial=0.0)),
                best=float((ious * found.object_scores).max(initial=0.0)),
                twin=_NONE if twin == _NONE else first + twin,
                twin_iou=0.0 if twin == _NONE else float(among[column, twin]),
                apart=_apart(found.scores[same], overlap[same], column, twin),
            )
        )
    return rows


def _apart(
    scores: NDArray[np.float64], overlap: NDArray[np.float64], first: int, second: int
) -> float:
    """Return `LabelEvidence.apart` of two annotations, given the detections of their class."""
    if second == _NONE:
        return 0.0
    on_one, on_other = overlap[:, first], overlap[:, second]
    on_any = np.maximum(on_one, on_other) >= SAME_OBJECT_IOU
    nearer = scores[on_any & (on_one > on_other)].max(initial=0.0)
    return float(min(nearer, scores[on_any & (on_other > on_one)].max(initial=0.0)))


def _argmax(values: NDArray[np.float64]) -> int:
    """Return where the largest value is; -1 where none is above 0."""
    return int(values.argmax()) if values.max(initial=0.0) > 0 else _NONE
