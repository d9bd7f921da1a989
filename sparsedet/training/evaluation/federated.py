"""Average precision with classes that are complete on some images only, as in LVIS.

A. Gupta, P. Dollár, R. Girshick: "LVIS: A Dataset for Large Vocabulary Instance Segmentation",
CVPR 2019, section 3.1. Each class is evaluated like a small dataset of its own: on the images where
all of its objects have a box, or where it is absent. On others, its boxes can be found or missed,
but unmatched detections may well be right, and are ignored.

A class that is complete nowhere can't have wrong detections: its AP is the recall of its boxes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools.cocoeval import COCOeval

from sparsedet.annotations import Dataset
from sparsedet.annotations.table import BoolArray
from sparsedet.mining.detections import Detections

FEDERATED_DETECTIONS = 300
"""Number of detections per image that count, over all classes: as in LVIS."""


@dataclass(frozen=True, slots=True)
class Federation:
    """Numbers of (class, image) pairs, by what is known of them."""

    complete: int
    """Every object of the class has a box, and there is at least one."""
    absent: int
    """There is no object of the class."""
    incomplete: int
    """Some objects of the class have a box, others may not."""
    nowhere: tuple[str, ...]
    """Names of classes with boxes that are not complete or absent anywhere."""

    @classmethod
    def of(cls, dataset: Dataset) -> "Federation":
        """Count the pairs of a dataset."""
        table, images = dataset.table, dataset.image_by_id
        boxed = np.unique(np.stack([table.image_ids, table.category_ids], axis=1), axis=0).tolist()
        complete = sum(images[image_id].is_complete(id) for image_id, id in boxed)
        # Of all pairs, possibly millions, those without a box are only counted.
        every = frozenset(dataset.category_by_id)
        marks = [every if image.exhaustive else image.complete_classes for image in dataset.images]
        nowhere = {id for _, id in boxed}.difference(*marks)
        return cls(
            complete=complete,
            absent=sum(map(len, marks)) - complete,
            incomplete=len(boxed) - complete,
            nowhere=tuple(c.name for c in dataset.categories if c.id in nowhere),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the counts under one key."""
        return {
            "federated": {
                "complete": self.complete,
                "absent": self.absent,
                "incomplete": self.incomplete,
                "complete_nowhere": list(self.nowhere),
            }
        }


def is_federated(dataset: Dataset) -> bool:
    """Return whether classes are complete on some images only, by marks of single classes.

    Data without such marks is evaluated as fully labelled: most datasets don't say.
    """
    return dataset.has_class_marks and not all(map(dataset.is_complete, dataset.images))


def known_classes(found: Detections, dataset: Dataset) -> BoolArray:
    """Return which detections are of a class that is complete on their image, shape (N,)."""
    image = dataset.image_by_id.get(found.image_id)
    if image is None:
        return np.zeros(len(found.scores), dtype=np.bool_)
    if image.exhaustive:
        return np.ones(len(found.scores), dtype=np.bool_)
    complete: BoolArray = np.isin(found.category_ids, list(image.complete_classes))
    return complete


def best_detections(found: Detections) -> Detections:
    """Return the detections of an image that count."""
    if len(found.scores) <= FEDERATED_DETECTIONS:
        return found
    order = np.argsort(-found.scores, kind="stable")[:FEDERATED_DETECTIONS]
    return found.select(np.sort(order))


def ignore_unknown(evaluator: COCOeval, dataset: Dataset) -> None:
    """Ignore unmatched detections of classes that are not complete.

    Args:
        evaluator: has matched the detections, image by image, and not accumulated them yet.
        dataset: the evaluation data.
    """
    images = dataset.image_by_id
    for entry in evaluator.evalImgs:
        if entry is not None and not images[entry["image_id"]].is_complete(entry["category_id"]):
            entry["dtIgnore"] |= entry["dtMatches"] == 0
