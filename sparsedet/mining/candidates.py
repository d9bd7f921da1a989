"""Candidates: detections at any score that may show an object without an annotation.

`mine` drops everything that overlaps an annotation, which is right for training labels. People can
judge closer cases: in a crowd, the second animal overlaps the first. So only the detection that an
annotation explains best, and near copies of it, are dropped here; the overlap of others with known
objects is weighed by `expected_precision`.

Some annotations may be hidden from the training. Their detections show how the model scores objects
without an annotation, on its own training images.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import XYXY, Box, Dataset
from sparsedet.annotations.matching import SAME_OBJECT_IOU, covered_share, iou_matrix, match
from sparsedet.mining.detections import Detections

SAME_DETECTION_IOU = 0.7
"""IoU from which two detections of a class are the same: objects in a crowd overlap less."""

UNKNOWN, RIGHT, WRONG_CLASS, DUPLICATE = range(4)
"""What is known of a candidate: whether it is on a hidden annotation."""


@dataclass(frozen=True)
class Candidates:
    """Candidates in columns, image by image, the most certain first within an image."""

    image_ids: NDArray[np.int64]
    category_ids: NDArray[np.int64]
    boxes: NDArray[np.float64]
    """Shape (N, 4): XYXY, absolute pixels of the upright image."""
    scores: NDArray[np.float64]
    """Probability of the class by the model, 0 to 1."""
    object_scores: NDArray[np.float64]
    """Probability of an object of any class, at least the score."""
    nested: NDArray[np.float64]
    """Maximum share of the smaller of two boxes inside the larger, over pairs with an annotation or
    a more certain candidate of the class."""
    overlap: NDArray[np.float64]
    """Maximum IoU with one of these."""
    known: NDArray[np.int8]
    """`UNKNOWN`, `RIGHT`, `WRONG_CLASS` or `DUPLICATE`."""

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, keep: NDArray[Any]) -> "Candidates":
        """Return the candidates at `keep`, a mask or an index."""
        return Candidates(**{field.name: getattr(self, field.name)[keep] for field in fields(self)})

    @property
    def unknown(self) -> "Candidates":
        """Candidates on no hidden annotation: possibly missing objects."""
        return self.select(self.known == UNKNOWN)


def find_candidates(
    detections: Sequence[Detections],
    dataset: Dataset,
    hidden: Collection[int] = (),
) -> Candidates:
    """Return the candidates of classes not marked as complete on their image.

    Args:
        detections: of the dataset's images, including low scores, and overlapping ones of a class
            up to an IoU of `SAME_DETECTION_IOU`.
        dataset: the images and their annotations.
        hidden: ids of annotations hidden from the model's training.
    """
    parts = [
        _of_image(found, dataset, set(hidden))
        for every in detections
        if len((found := every.of_open_classes(dataset.image_by_id[every.image_id])).scores)
    ]
    return Candidates(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            if parts
            else getattr(_NONE, field.name)
            for field in fields(Candidates)
        }
    )


def _of_image(found: Detections, dataset: Dataset, hidden: set[int]) -> Candidates:
    own = dataset.boxes_by_image[found.image_id]
    people = [box for box in own if not box.iscrowd]
    visible = [box for box in people if box.id not in hidden]
    crowds = [box.xyxy for box in own if box.iscrowd]
    rejected = dataset.negatives_by_image[found.image_id]
    explained = (
        _explained_by_annotations(found, visible)
        | (covered_share(found.boxes, crowds) >= SAME_OBJECT_IOU).any(axis=1)
        | (
            (iou_matrix(found.boxes, _xyxy(rejected)) >= SAME_OBJECT_IOU)
            & _same_class(found, rejected)
        ).any(axis=1)
    )
    found = found.select(~explained)
    found = found.select(np.argsort(-found.scores, kind="stable"))
    found = found.select(_distinct(found))
    nested, overlap = _crowding(found, visible)
    count = len(found.scores)
    return Candidates(
        image_ids=np.full(count, found.image_id, dtype=np.int64),
        category_ids=found.category_ids,
        boxes=found.boxes,
        scores=found.scores,
        object_scores=found.object_scores,
        nested=nested,
        overlap=overlap,
        known=_known(found, [box for box in people if box.id in hidden]),
    )


def _explained_by_annotations(found: Detections, people: Sequence[Box]) -> NDArray[np.bool_]:
    """Return which detections show an annotated object: shape (N,).

    These are the best detection of each annotation, its near copies, and other classes at the same
    position.
    """
    overlap = iou_matrix(found.boxes, _xyxy(people))
    on_one = overlap >= SAME_OBJECT_IOU
    explained = (overlap >= SAME_DETECTION_IOU) | (on_one & ~_same_class(found, people))
    for column in range(len(people)):
        rows = np.flatnonzero(on_one[:, column])
        if len(rows):
            fit = overlap[rows, column] * found.object_scores[rows]
            explained[rows[fit.argmax()], column] = True
    return np.asarray(explained.any(axis=1))


def _distinct(found: Detections) -> NDArray[np.int64]:
    """Return indices of detections, most certain first, without repetitions of a more certain
    one."""
    overlap = iou_matrix(found.boxes, found.boxes)
    same_class = found.category_ids[:, None] == found.category_ids
    repeats = np.where(same_class, overlap >= SAME_DETECTION_IOU, overlap >= SAME_OBJECT_IOU)
    kept: list[int] = []
    for row in range(len(repeats)):
        if not repeats[row, kept].any():
            kept.append(row)
    return np.array(kept, dtype=np.int64)


def _crowding(
    found: Detections, people: Sequence[Box]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return `Candidates.nested` and `.overlap` of the candidates of an image."""
    boxes = np.vstack([np.array(_xyxy(people)).reshape(-1, 4), found.boxes])
    classes = np.concatenate([[box.category_id for box in people], found.category_ids])
    alike = found.category_ids[:, None] == classes
    # Against annotations, and more certain candidates.
    earlier = np.arange(len(boxes)) < np.arange(len(found.scores))[:, None] + len(people)
    counts = alike & earlier
    nested = np.maximum(covered_share(found.boxes, boxes), covered_share(boxes, found.boxes).T)
    overlap = iou_matrix(found.boxes, boxes)
    return _largest(nested, counts), _largest(overlap, counts)


def _largest(values: NDArray[Any], counts: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(np.where(counts, values, 0.0).max(axis=1, initial=0.0))


def _known(found: Detections, hidden: Sequence[Box]) -> NDArray[np.int8]:
    overlap = iou_matrix(found.boxes, _xyxy(hidden))
    right = match(overlap * _same_class(found, hidden), SAME_OBJECT_IOU)
    left = np.where(right[:, None] >= 0, 0.0, overlap)
    left[:, right[right >= 0]] = 0.0
    wrong = match(left, SAME_OBJECT_IOU)
    known = np.where((overlap >= SAME_OBJECT_IOU).any(axis=1), DUPLICATE, UNKNOWN)
    known[wrong >= 0] = WRONG_CLASS
    known[right >= 0] = RIGHT
    return known.astype(np.int8)


def _same_class(found: Detections, boxes: Sequence[Box]) -> NDArray[np.bool_]:
    classes = np.array([box.category_id for box in boxes], dtype=np.int64)
    return np.asarray(found.category_ids[:, None] == classes)


def _xyxy(boxes: Sequence[Box]) -> list[XYXY]:
    return [box.xyxy for box in boxes]


_NONE = Candidates(
    image_ids=np.zeros(0, dtype=np.int64),
    category_ids=np.zeros(0, dtype=np.int64),
    boxes=np.zeros((0, 4)),
    scores=np.zeros(0),
    object_scores=np.zeros(0),
    nested=np.zeros(0),
    overlap=np.zeros(0),
    known=np.zeros(0, dtype=np.int8),
)
