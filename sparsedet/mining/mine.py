"""Mining: detections that no annotation explains, certain enough to show or to train on.

A detection is explained by an annotation, a crowd region or a rejection, or by a better detection
of the same object; thresholds (`calibrate`) decide which of the others are pseudo-labels for
training, and which are ignore regions. What people see is selected in `completeness.proposals`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparsedet.annotations import XYXY, Box, Dataset
from sparsedet.annotations.matching import SAME_OBJECT_IOU, covered_share, iou_matrix
from sparsedet.annotations.mined_boxes import MinedBox, region_id
from sparsedet.config.sections import MiningConfig
from sparsedet.mining.calibrate import Thresholds, scored_boxes, thresholds
from sparsedet.mining.detections import Detections


@dataclass(frozen=True, slots=True)
class MiningResult:
    """The result of mining."""

    mined: tuple[MinedBox, ...]
    """Boxes above their class's threshold; best first within an image."""
    labels: tuple[Box, ...]
    """Those of certain class: labels for the training."""
    ignored: tuple[Box, ...]
    """Ignore regions for the training, which may show an object."""
    known: tuple[Box, ...]
    """Annotated objects, except of complete classes, that would have been mined as labels
    or ignored without their annotation: the model is as certain there."""
    thresholds: Thresholds


def select(
    detections: Sequence[Detections], dataset: Dataset, config: MiningConfig, *, run_id: str
) -> MiningResult:
    """Split detections by thresholds from the annotated objects among them.

    Nothing is mined on an exhaustive image, or for a class that is complete on the image.

    Args:
        detections: of the dataset's images.
        dataset: the images and their annotations.
        config: the required certainty.
        run_id: of the mining run.
    """
    scored = scored_boxes(detections, dataset)
    limits = thresholds(scored, dataset.categories, config)
    mined: list[MinedBox] = []
    labels: list[Box] = []
    ignored: list[Box] = []
    for found in detections:
        image = dataset.image_by_id[found.image_id]
        if image.exhaustive:
            continue
        new = unexplained(
            found.of_open_classes(image),
            dataset,
            iou=config.explained_iou,
            nested_share=config.nested_share,
        )
        shown = new.scores >= _of_class(new, limits.sure)
        is_label = (
            shown
            & (new.scores >= max(limits.sure_class, config.min_label_score))
            & (new.scores >= config.class_share * new.object_scores)
        )
        is_ignored = ~is_label & (new.object_scores >= _of_class(new, limits.ignored))
        mined.extend(_mined_boxes(new.select(shown), dataset, limits, run_id))
        labels.extend(_boxes(new.select(is_label)))
        ignored.extend(_boxes(new.select(is_ignored)))
    known = (
        one.box
        for one in scored
        if not dataset.image_by_id[one.box.image_id].is_complete(one.box.category_id)
        # The threshold of certain labels is never lower.
        and one.object_score >= limits.ignored[one.box.category_id]
    )
    return MiningResult(tuple(mined), _numbered(labels), _numbered(ignored), tuple(known), limits)


def _of_class(found: Detections, limits: Mapping[int, float]) -> NDArray[np.float64]:
    """Return the threshold of each detection's class, shape (N,)."""
    return np.array([limits[int(number)] for number in found.category_ids], dtype=np.float64)


def _mined_boxes(
    found: Detections, dataset: Dataset, limits: Thresholds, run_id: str
) -> Iterable[MinedBox]:
    image = dataset.image_by_id[found.image_id]
    for box, score in zip(_boxes(found), found.scores, strict=True):
        yield MinedBox(
            region_id=region_id(run_id, image.file_name, box.category_id, box.xyxy),
            image_id=image.id,
            category_id=box.category_id,
            xyxy=box.xyxy,
            score=float(score),
            threshold=limits.sure[box.category_id],
        )


def _boxes(found: Detections) -> list[Box]:
    return [
        Box(0, found.image_id, int(category_id), (left, top, right, bottom), origin="mined")
        for (left, top, right, bottom), category_id in zip(
            found.boxes.tolist(), found.category_ids, strict=True
        )
    ]


def _numbered(boxes: Iterable[Box]) -> tuple[Box, ...]:
    return tuple(
        Box(number, box.image_id, box.category_id, box.xyxy, origin=box.origin)
        for number, box in enumerate(boxes, start=1)
    )


def unexplained(
    found: Detections, dataset: Dataset, *, iou: float, nested_share: float
) -> Detections:
    """Drop explained detections, and all but the best detection of each object.

    Args:
        found: the detections of an image.
        dataset: from `iou` on, its annotations show the same object as a detection of any class,
            and its verified negatives as one of their class. A detection inside a crowd region is
            explained by it.
        iou: the IoU of two boxes of one object.
        nested_share: of two boxes of a class, one shows a part of the other's object if this share
            of the smaller is inside the larger.
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
    """Return which pairs show the same object, shape (detections, boxes)."""
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
    """Return the mined boxes that don't show an object of a pending box of their class."""
    again = show_again(
        [(box.image_id, box.category_id) for box in mined], [box.xyxy for box in mined], pending
    )
    return tuple(box for box, is_old in zip(mined, again.tolist(), strict=True) if not is_old)


def show_again(
    keys: Sequence[tuple[int, int]],
    boxes: Sequence[XYXY] | NDArray[np.float64],
    earlier: Sequence[MinedBox],
) -> NDArray[np.bool_]:
    """Return which boxes show an object of an earlier box of their class, shape (N,).

    Args:
        keys: image id and category id of each box.
        boxes: shape (N, 4), XYXY.
        earlier: on the same images.
    """
    known: dict[tuple[int, int], list[XYXY]] = {}
    for box in earlier:
        known.setdefault((box.image_id, box.category_id), []).append(box.xyxy)
    rows: dict[tuple[int, int], list[int]] = {}
    for row, key in enumerate(keys):
        if key in known:
            rows.setdefault(key, []).append(row)
    again = np.zeros(len(keys), dtype=bool)
    for key, own in rows.items():
        overlap = iou_matrix([boxes[row] for row in own], known[key])
        again[own] = (overlap >= SAME_OBJECT_IOU).any(axis=1)
    return again
