"""Average precision as Pascal VOC measures it: one IoU, every detection counted once.

M. Everingham et al., "The Pascal Visual Object Classes (VOC) Challenge", IJCV 2010. Differs from
COCO's AP50, because a detection belongs to the annotation that it overlaps most, so that it is
wrong if that one is taken, even if another one is free; because objects marked `difficult` are
neither missed nor found; and because precision is read at 11 recalls, or at all, instead of at 101.

VOC's pixels have a size: its development kit adds 1 to every width and height, because a box
includes the pixels at both ends. The boxes here are edges, with `xmin` equal to `left + 1`, so that
their IoU is the kit's without adding anything. As in the kit, and unlike in detectron2's copy of
it, an IoU of exactly 0.5 is enough, and scores and boxes are not rounded before comparison.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import Box, Dataset
from sparsedet.annotations.matching import covered_share, iou_matrix
from sparsedet.annotations.table import BoolArray, BoxTable, FloatArray, IntArray
from sparsedet.mining.detections import Detections
from sparsedet.training.evaluation.federated import is_federated, known_classes

VOC_IOU = 0.5
_DIFFICULT_KEYS = ("difficult", "ignore")
"""Keys of an annotation; the usual converters from VOC to COCO write the second one."""
_RECALLS = np.arange(11) / 10


@dataclass(frozen=True, slots=True)
class VocAp:
    """AP at an IoU of 0.5 by category name, 0 to 100; nan for classes without annotations."""

    eleven_point: dict[str, float]
    """As in VOC2007: the mean of the best precisions at the recalls 0, 0.1, ..., 1."""
    area: dict[str, float]
    """As from VOC2010 on: the area below the precisions, made monotonically decreasing."""

    @property
    def mean_eleven_point(self) -> float:
        """Mean over the classes with annotations."""
        return _mean(self.eleven_point)

    @property
    def mean_area(self) -> float:
        """Mean over the classes with annotations."""
        return _mean(self.area)


def voc_ap(detections: Sequence[Detections], dataset: Dataset) -> VocAp:
    """Return Pascal VOC's AP of detections against a dataset's annotations.

    Ignores annotations with a true `difficult` or `ignore`, as in VOC's xml files and their
    conversions, and detections of these. VOC has no crowd regions: these ignore detections that are
    neither right nor difficult, with at least half of their area inside. Nor does it know classes
    that are complete on some images only: elsewhere unmatched detections are ignored, too.

    Args:
        detections: of any images; those of equal score count in this order.
        dataset: the truth; for federated ones see `is_federated`.
    """
    table = dataset.table
    difficult = _difficult(table)
    found = _Found.of(detections, dataset)
    eleven_point: dict[str, float] = {}
    area: dict[str, float] = {}
    for category in dataset.categories:
        objects = (table.category_ids == category.id) & ~table.iscrowd & ~difficult
        if not objects.any():
            eleven_point[category.name] = area[category.name] = float("nan")
            continue
        right = _right(found.of_category(category.id), difficult)
        hits = np.cumsum(right, dtype=np.float64)
        recall, precision = hits / np.count_nonzero(objects), hits / np.arange(1, len(right) + 1)
        eleven_point[category.name] = 100 * eleven_point_ap(recall, precision)
        area[category.name] = 100 * area_ap(recall, precision)
    return VocAp(eleven_point, area)


def eleven_point_ap(recall: FloatArray, precision: FloatArray) -> float:
    """Return the mean over the recalls 0, 0.1, ..., 1 of the best precision from there on.

    Args:
        recall: shape (N,), ascending, 0 to 1.
        precision: shape (N,), 0 to 1, at these recalls.
    """
    reached = recall >= _RECALLS[:, None]
    return float(np.where(reached, precision, 0.0).max(axis=1, initial=0.0).mean())


def area_ap(recall: FloatArray, precision: FloatArray) -> float:
    """Return the area below the best precision from each recall on.

    Args:
        recall: shape (N,), ascending, 0 to 1.
        precision: shape (N,), 0 to 1, at these recalls.
    """
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * best))


@dataclass(frozen=True, slots=True)
class _Found:
    """Detections of all images, best first."""

    category_ids: IntArray
    annotation: IntArray
    """Row of the matched annotation; -1: none."""
    excused: BoolArray
    """Which are ignored if they are not right."""

    @classmethod
    def of(cls, detections: Sequence[Detections], dataset: Dataset) -> "_Found":
        """Assign every detection to the annotation of its class that it overlaps most."""
        table = dataset.table
        rows = _rows_by_image(table)
        none = np.zeros(0, dtype=np.int64)
        assigned = [_assign(found, table, rows.get(found.image_id, none)) for found in detections]
        scores = np.concatenate([[], *(found.scores for found in detections)])
        order = np.argsort(-scores, kind="stable")
        excused = [in_crowd for _, in_crowd in assigned]
        if is_federated(dataset):
            excused = [
                in_crowd | ~known_classes(found, dataset)
                for in_crowd, found in zip(excused, detections, strict=True)
            ]
        return cls(
            np.concatenate([none, *(found.category_ids for found in detections)])[order],
            np.concatenate([none, *(annotation for annotation, _ in assigned)])[order],
            np.concatenate([none.astype(bool), *excused])[order],
        )

    def of_category(self, category_id: int) -> "_Found":
        """Return those of a class."""
        chosen = self.category_ids == category_id
        return _Found(self.category_ids[chosen], self.annotation[chosen], self.excused[chosen])


def _rows_by_image(table: BoxTable) -> dict[int, IntArray]:
    """Return the rows of every image that has annotations."""
    order = np.argsort(table.image_ids, kind="stable")
    images, counts = np.unique(table.image_ids[order], return_counts=True)
    ends = np.cumsum(counts)
    parts = zip(images.tolist(), ends - counts, ends, strict=True)
    return {image: order[start:end] for image, start, end in parts}


def _assign(found: Detections, table: BoxTable, rows: IntArray) -> tuple[IntArray, BoolArray]:
    """Return each detection's row of the table, -1 for none, and whether a crowd region contains
    it.

    Args:
        found: the detections of an image, N of them.
        table: all annotations.
        rows: those of the image.
    """
    same_class = found.category_ids[:, None] == table.category_ids[rows]
    crowd = table.iscrowd[rows]
    overlap = np.where(same_class & ~crowd, iou_matrix(found.boxes, table.xyxy[rows]), -1.0)
    covered = np.where(same_class & crowd, covered_share(found.boxes, table.xyxy[rows]), 0.0)
    in_crowd: BoolArray = np.any(covered >= VOC_IOU, axis=1)
    if not len(rows):
        return np.full(len(found.scores), -1, dtype=np.int64), in_crowd
    best = overlap.argmax(axis=1)
    is_same = overlap.max(axis=1) >= VOC_IOU
    return np.where(is_same, rows[best], -1), in_crowd


def _right(found: _Found, difficult: BoolArray) -> BoolArray:
    """Return which detections of a class are right, best first, without ignored ones."""
    shows_one = found.annotation >= 0
    is_difficult = shows_one.copy()
    is_difficult[shows_one] = difficult[found.annotation[shows_one]]
    is_first = np.zeros(len(shows_one), dtype=bool)
    is_first[np.unique(found.annotation, return_index=True)[1]] = True
    right: BoolArray = shows_one & ~is_difficult & is_first
    return right[right | ~(is_difficult | found.excused)]


def _difficult(table: BoxTable) -> BoolArray:
    """Return which rows are marked as difficult, shape (N,)."""
    keys = (source.extra if isinstance(source, Box) else source for source in table.sources)
    marks = [any(_is_true(entry.get(key)) for key in _DIFFICULT_KEYS) for entry in keys]
    return np.array(marks, dtype=np.bool_)


def _is_true(value: object) -> bool:
    return value in (1, "1")


def _mean(values: dict[str, float]) -> float:
    measured: NDArray[np.float64] = np.array(list(values.values()))
    measured = measured[~np.isnan(measured)]
    return float(measured.mean()) if measured.size else float("nan")
