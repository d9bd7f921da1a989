"""Which detections nothing explains: no annotation, no crowd, no rejection, no better detection."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparsedet.annotations import Box, Dataset
from sparsedet.annotations.matching import SAME_OBJECT_IOU, covered_share, iou_matrix
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.mining.detect import Detections


def unexplained(
    found: Detections, dataset: Dataset, *, iou: float, nested_share: float
) -> Detections:
    """Drop what is explained already, and all but the best detection of each object.

    Args:
        found: the detections of an image.
        dataset: its annotations show one object with a detection, of whatever class, from `iou`
            on; so do verified negatives, for its class. What lies in a crowd region is explained
            by it.
        iou: the IoU of two boxes of one object.
        nested_share: of two boxes of a class, one shows a part of the other's object when this
            share of the smaller lies in the larger.
    """
    own = dataset.boxes_by_image[found.image_id]
    people = [box for box in own if not box.iscrowd]
    crowds = [box.xyxy for box in own if box.iscrowd]
    rejected = dataset.negatives_by_image[found.image_id]
    of_its_class = found.category_ids[:, None] == _categories(rejected)
    explained = np.hstack(
        [
            _same_object(found, _xyxy(people), _categories(people), iou, nested_share),
            covered_share(found.boxes, crowds) >= iou,
            (iou_matrix(found.boxes, _xyxy(rejected)) >= iou) & of_its_class,
        ]
    )
    found = found.select(np.logical_not(np.any(explained, axis=1)))
    duplicates = _same_object(found, found.boxes, found.category_ids, iou, nested_share)
    kept: list[int] = []
    for index in np.argsort(-found.scores, kind="stable"):
        if not duplicates[index, kept].any():
            kept.append(int(index))
    return found.select(np.array(kept, dtype=np.int64))


def _same_object(
    found: Detections,
    boxes: ArrayLike,
    categories: NDArray[np.int64],
    iou: float,
    nested_share: float,
) -> NDArray[np.bool_]:
    """Return, shape (detections, boxes), which pairs show one object."""
    nested = np.maximum(covered_share(found.boxes, boxes), covered_share(boxes, found.boxes).T)
    same_class = found.category_ids[:, None] == categories
    pairs: NDArray[np.bool_] = (iou_matrix(found.boxes, boxes) >= iou) | (
        (nested >= nested_share) & same_class
    )
    return pairs


def _xyxy(boxes: Sequence[Box]) -> list[Any]:
    return [box.xyxy for box in boxes]


def _categories(boxes: Sequence[Box]) -> NDArray[np.int64]:
    return np.array([box.category_id for box in boxes], dtype=np.int64)


def without_pending(mined: Sequence[MinedBox], pending: Sequence[MinedBox]) -> tuple[MinedBox, ...]:
    """Return the mined boxes that show no object of a pending box of their class."""
    waiting: dict[tuple[int, int], list[MinedBox]] = {}
    for box in pending:
        waiting.setdefault((box.image_id, box.category_id), []).append(box)
    return tuple(
        box for box in mined if not _any_same(box, waiting.get((box.image_id, box.category_id), ()))
    )


def _any_same(box: MinedBox, others: Sequence[MinedBox]) -> bool:
    overlap = iou_matrix([box.xyxy], [other.xyxy for other in others])
    return bool((overlap >= SAME_OBJECT_IOU).any())
