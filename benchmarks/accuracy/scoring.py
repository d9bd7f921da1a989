"""Scores that allow for missing labels: for detections on test images, and for mined boxes."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import compress

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from sparsedet.annotations import Box, Dataset
from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix, match
from sparsedet.config.training_config import read_config
from sparsedet.mining.detections import Detections
from sparsedet.modeling.targets import MORE_LIKELY_THAN_NOT
from sparsedet.run_folder import RunFolder
from sparsedet.training.data.pseudo_labels import read_pseudo_labels
from sparsedet.training.engine.steps import stages
from sparsedet.training.evaluation.average_precision import Evaluation, evaluate


def evaluate_ignoring(
    detections: Sequence[Detections], dataset: Dataset, unlabelled: Iterable[Box]
) -> Evaluation:
    """Evaluate, ignoring detections on `unlabelled` objects.

    A detection that matches no label, but an unlabelled object of its class at the given IoU
    threshold, is ignored. As with labels, the best of several detections matches the object, and
    the others are wrong. Undetected objects don't count as missed.
    """
    # pycocotools ignores objects outside the evaluated area range. Crowd regions would not work:
    # they match any number of detections, and any small one inside them. Pascal VOC calls such
    # objects difficult.
    ignored = [
        replace(box, area=math.inf, extra={**box.extra, "difficult": 1}) for box in unlabelled
    ]
    evaluation = evaluate(detections, dataset.with_boxes([*dataset.boxes, *ignored]))
    return replace(evaluation, annotations=evaluation.annotations - len(ignored))


class MinedQuality(BaseModel):
    """Mined boxes of one kind against the removed boxes; IoU 0.5, one to one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    boxes: int
    on_removed: int
    """Number on a removed box, of any class."""
    right_class: int
    """Number on a removed box of their class."""
    on_unlabelled: int | None
    """Of the others, those on an object of their class that the published labels lack; None: none
    are known."""


def mined_quality(
    run: RunFolder, removed: Dataset, unlabelled: Sequence[Box]
) -> dict[str, MinedQuality]:
    """Return the quality of a run's last mined boxes, by kind; empty if it mines nothing."""
    config = read_config(run.config)
    *mining, _ = stages(config.staged, config.solver.max_iter)
    if run.info().method != "staged" or not mining:
        return {}
    found = read_pseudo_labels(run.mining / f"{mining[-1].name}.json")
    likely = [weight >= MORE_LIKELY_THAN_NOT for weight in found.weights]
    others = [box for box, yes in zip(found.labels, likely, strict=True) if not yes]
    kinds = {
        "labels": list(compress(found.labels, likely)),
        "doubtful": [*others, *found.ignored],
    }
    return {kind: quality(mined, removed.boxes, unlabelled) for kind, mined in kinds.items()}


def quality(
    mined: Sequence[Box], removed: Sequence[Box], unlabelled: Sequence[Box]
) -> MinedQuality:
    """Compare mined boxes with removed ones, and the rest of them with unlabelled objects."""
    right = _matches(mined, removed, same_class=True)
    taken = set(right.tolist())
    others = [box for box, index in zip(mined, right, strict=True) if index < 0]
    free = [box for index, box in enumerate(removed) if index not in taken]
    wrong_class = _matches(others, free, same_class=False)
    rest = [box for box, index in zip(others, wrong_class, strict=True) if index < 0]
    return MinedQuality(
        boxes=len(mined),
        on_removed=_count(right) + _count(wrong_class),
        right_class=_count(right),
        on_unlabelled=_count(_matches(rest, unlabelled, same_class=True)) if unlabelled else None,
    )


def _count(matches: NDArray[np.int64]) -> int:
    return int((matches >= 0).sum())


def _matches(boxes: Sequence[Box], others: Sequence[Box], *, same_class: bool) -> NDArray[np.int64]:
    """Return the index of the other box that each box is on, -1 for none; shape (N,)."""

    def group(box: Box) -> object:
        return (box.image_id, box.category_id if same_class else None)

    rows: dict[object, list[int]] = defaultdict(list)
    columns: dict[object, list[int]] = defaultdict(list)
    for number, box in enumerate(boxes):
        rows[group(box)].append(number)
    for number, box in enumerate(others):
        columns[group(box)].append(number)
    matches = np.full(len(boxes), -1, dtype=np.int64)
    for key in rows.keys() & columns.keys():
        overlap = iou_matrix(
            [boxes[row].xyxy for row in rows[key]], [others[column].xyxy for column in columns[key]]
        )
        chosen = match(overlap, SAME_OBJECT_IOU)
        index = np.array(columns[key])[chosen]
        matches[rows[key]] = np.where(chosen >= 0, index, -1)
    return matches
