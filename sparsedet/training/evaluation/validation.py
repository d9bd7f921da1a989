"""One figure to choose the best checkpoint of a training by, on annotations that may be sparse."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sparsedet.annotations import Dataset
from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix, match
from sparsedet.errors import AnnotationError
from sparsedet.mining.detect import Detections
from sparsedet.training.evaluation.average_precision import evaluate

DETECTIONS = 100
"""Detections of an image that recall is measured at, unless told otherwise: as in COCO's AR."""


class Validation(NamedTuple):
    """How good a model is, by the figure that the data allows."""

    name: str
    """`AP`, or `recall@100` with the number of detections."""
    value: float
    """0 to 100; more is better, among values of one name."""


def validate(
    detections: Sequence[Detections], dataset: Dataset, *, limit: int = DETECTIONS
) -> Validation:
    """Return COCO's AP on the exhaustive images where there are any, else recall.

    On sparse annotations AP takes right detections of objects without a box for wrong: the more of
    them a model finds, the worse it looks, and the checkpoint that AP prefers is the one that has
    learned the gaps best. Recall at a fixed number of detections asks for the annotated objects
    alone. A model can't earn it by detecting more, only by ranking objects before background.

    Args:
        detections: of the dataset's images, at most one entry each.
        dataset: the validation data.
        limit: the best-scored detections of an image that count for recall.

    Raises:
        AnnotationError: when there is no annotation to find.
    """
    vouched = dataset.with_images(image for image in dataset.images if image.exhaustive)
    # Images that are vouched to be empty have no AP.
    if not vouched.table.iscrowd.all():
        on_vouched = [found for found in detections if found.image_id in vouched.image_by_id]
        return Validation("AP", evaluate(on_vouched, vouched).ap)
    return Validation(f"recall@{limit}", recall_at(detections, dataset, limit=limit))


def recall_at(
    detections: Sequence[Detections],
    dataset: Dataset,
    *,
    limit: int,
    iou: float = SAME_OBJECT_IOU,
) -> float:
    """Return the share of the annotations that a fixed number of detections finds, 0 to 100.

    Of every image the best-scored detections count, whatever their class. In this order each takes
    the annotation of its class that it overlaps most among those that are left. Crowd regions are
    no annotations.

    Args:
        detections: at most one entry for an image; images without one have nothing detected.
        dataset: the truth, or the part of it that is known.
        limit: how many detections of an image count.
        iou: the least overlap with an annotation.

    Raises:
        AnnotationError: when there is no annotation to find.
    """
    table = dataset.table.select(~dataset.table.iscrowd)
    if not len(table):
        raise AnnotationError("the validation data has no annotations")
    hits = 0
    for found in detections:
        best = found.select(np.argsort(-found.scores, kind="stable")[:limit])
        rows = table.image_ids == found.image_id
        overlap = iou_matrix(best.boxes, table.xyxy[rows])
        overlap[best.category_ids[:, None] != table.category_ids[rows]] = 0
        hits += np.count_nonzero(match(overlap, iou) >= 0)
    return 100 * hits / len(table)
