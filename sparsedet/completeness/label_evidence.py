"""A model's evidence on each annotation, in columns.

The model was trained on these very annotations, faults included, and has partly learnt them. So
the signs of a fault are small: a second class that scores a little, a more certain box nearby.
These numbers are therefore never used alone; `suspicions` compares them with those of other boxes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import Box, Dataset
from sparsedet.annotations.matching import SAME_OBJECT_IOU, Floats, iou_matrix
from sparsedet.mining.detections import Detections

NO_SCORE = 0.01
"""Score to assume for undetected objects, below the least score of candidates."""
_NEAR_IOU = 0.1
"""IoU from which a detection may show an annotation's object, if no other annotation fits."""
_FITS_IOU = 0.65
"""IoU from which a detection confirms an annotation's position."""
_NONE = -1


@dataclass(frozen=True)
class LabelEvidence:
    """Annotations in columns, without crowd regions, image by image."""

    boxes: tuple[Box, ...]
    category_ids: NDArray[np.int64]
    hidden: NDArray[np.bool_]
    """Whether it was hidden from the model."""
    own: NDArray[np.float64]
    """Best score of its class on it, 0 to 1."""
    other: NDArray[np.float64]
    """Best score of another class on it, 0 to 1, unless explained better by an annotation of that
    class."""
    other_class: NDArray[np.int64]
    """That class; -1: none was detected."""
    fit: NDArray[np.float64]
    """IoU with the best detection of its class that shows no other annotation's object."""
    fit_score: NDArray[np.float64]
    """That detection's score; 0: none."""
    fit_box: NDArray[np.float64]
    """Shape (N, 4): its box, XYXY in absolute pixels of the upright image."""
    support: NDArray[np.float64]
    """Best score among detections of its class that match its position."""
    best: NDArray[np.float64]
    """Best fit of any detection: the largest product of IoU and object score."""
    twin: NDArray[np.int64]
    """Row of the same-class annotation that overlaps it most; -1: none."""
    twin_iou: NDArray[np.float64]
    """Their IoU."""
    apart: NDArray[np.float64]
    """Certainty that these two are different objects, 0 to 1: the lower score of the best
    detections of the class closer to one of them, and closer to the other."""

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def xyxy(self) -> NDArray[np.float64]:
        """Shape (N, 4): the annotations' boxes, XYXY in absolute pixels."""
        return np.array([box.xyxy for box in self.boxes], dtype=np.float64).reshape(-1, 4)


def label_evidence(
    detections: Sequence[Detections], dataset: Dataset, hidden: Collection[int] = ()
) -> LabelEvidence:
    """Return the evidence from detections on the annotations of their images.

    Args:
        detections: of the dataset's images, including low scores, found as for candidates.
        dataset: the annotations.
        hidden: ids of annotations hidden from the model.
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
    """Return a row for each annotation of an image, starting at row `first`."""
    if not own:
        return []
    places = [box.xyxy for box in own]
    classes = np.array([box.category_id for box in own], dtype=np.int64)
    overlap = iou_matrix(found.boxes, places)
    alike = found.category_ids[:, None] == classes
    explained = _best_two(np.where(alike, overlap, 0.0))
    among = iou_matrix(places, places) * (classes[:, None] == classes)
    np.fill_diagonal(among, 0.0)
    rows = []
    for column in range(len(own)):
        ious, same = overlap[:, column], alike[:, column]
        free = explained.but(column) <= ious
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
                apart=0.0 if twin == _NONE else _apart(found.scores, same, ious, overlap[:, twin]),
            )
        )
    return rows


@dataclass(frozen=True, slots=True)
class _BestTwo:
    """The largest and second largest value of each row of a matrix, shape (N,) each."""

    column: NDArray[np.int64]
    """Column of the largest value."""
    first: NDArray[np.float64]
    second: NDArray[np.float64]

    def but(self, column: int) -> NDArray[np.float64]:
        """Return each row's largest value outside of a column."""
        return np.where(self.column == column, self.second, self.first)


def _best_two(values: NDArray[np.float64]) -> _BestTwo:
    """Return the two largest values of each row; values are 0 or more, shape (N, M), M > 0."""
    rows, column = np.arange(len(values)), values.argmax(axis=1)
    first = values[rows, column]
    rest = values.copy()
    rest[rows, column] = 0.0
    return _BestTwo(column, first, rest.max(axis=1))


def _apart(
    scores: NDArray[np.float64],
    same: NDArray[np.bool_],
    on_one: Floats,
    on_other: Floats,
) -> float:
    """Return `LabelEvidence.apart` of two annotations.

    Args:
        scores: of an image's detections, shape (N,).
        same: whether they are of the annotations' class.
        on_one: their IoU with one annotation ...
        on_other: ... and with the other.
    """
    on_any = same & (np.maximum(on_one, on_other) >= SAME_OBJECT_IOU)
    nearer = scores[on_any & (on_one > on_other)].max(initial=0.0)
    return float(min(nearer, scores[on_any & (on_other > on_one)].max(initial=0.0)))


def _argmax(values: NDArray[np.float64]) -> int:
    """Return the index of the largest value; -1 if none is above 0."""
    return int(values.argmax()) if values.max(initial=0.0) > 0 else _NONE
