"""Validation during training: keeps the best weights, and may stop early.

The metric is COCO's AP on images with complete classes, if there are any, else recall at a fixed
number of detections.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sparsedet.annotations import Dataset
from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix, match
from sparsedet.config.training_config import TrainingConfig
from sparsedet.errors import AnnotationError, RunError
from sparsedet.mining.detections import Detections
from sparsedet.modeling import checkpoint
from sparsedet.modeling.inputs import PixelCache
from sparsedet.run_folder import RunFolder
from sparsedet.runtime import processes
from sparsedet.training.data.samples import measurable_images
from sparsedet.training.engine.callbacks import EarlyStop
from sparsedet.training.engine.trainer import Weights
from sparsedet.training.evaluation.average_precision import evaluate
from sparsedet.training.evaluation.readable import detect_readable

DETECTIONS = 100
"""Default number of detections per image for recall: as in COCO's AR."""


@dataclass(frozen=True, slots=True)
class ValidationData:
    """Validation data."""

    dataset: Dataset
    images: Path
    """The folder of its images."""


def check_validation(data: ValidationData) -> None:
    """Check that there are objects to evaluate on.

    Raises:
        AnnotationError: when there is no annotation.
    """
    if data.dataset.table.iscrowd.all():
        raise AnnotationError("the validation data has no annotations to find")


class Validator:
    """Evaluates weights every TEST.EVAL_PERIOD iterations, and at the end of the run."""

    def __init__(
        self, config: TrainingConfig, run: RunFolder, data: ValidationData, cache: PixelCache
    ) -> None:
        self._config = config
        self._run = run
        self._data = data
        self._cache = cache
        self._period = config.validation.eval_period
        self._end = config.solver.max_iter
        check_validation(data)
        self._best: dict[str, Any] | None = None
        if run.best.exists():
            kept = checkpoint.load(run.best)
            self._best = {key: value for key, value in kept.items() if key != "model"}

    def is_due(self, iteration: int) -> bool:
        """Return whether to evaluate after this many iterations."""
        return iteration % self._period == 0 or iteration == self._end

    def early_stop(self, iteration: int, start: int) -> EarlyStop | None:
        """Return why to stop the training early: no improvement for too long. None: continue.

        Args:
            iteration: finished iterations of the run.
            start: of the stage; its training data is new, so earlier improvements don't count.
        """
        patience = self._config.validation.patience
        if patience == 0 or self._best is None:
            return None
        since: int = iteration - max(self._best["iteration"], start)
        if since < patience * self._period:
            return None
        return EarlyStop(
            iteration,
            self._end,
            patience,
            measure=self._best["measure"],
            best=self._best["value"],
            best_iteration=self._best["iteration"],
        )

    def measure(self, weights: Weights, iteration: int) -> dict[str, Any]:
        """Evaluate weights, and keep them if they are the best so far.

        Returns:
            The entry for `metrics.json`: the metric's name and its value, 0 to 100.
        """
        model = checkpoint.build(self._config.node).eval()
        model.load_state_dict(weights)
        found, dataset = detect_readable(
            model,
            self._config,
            self._run.info(),
            self._data.dataset,
            self._data.images,
            cache=self._cache,
        )
        limit = self._config.validation.detections
        name, value = processes.first_does(lambda: validate(found, dataset, limit=limit))
        if self._best is None or value > self._best["value"]:
            self._best = {"iteration": iteration, "measure": name, "value": value}
            if processes.is_first():
                checkpoint.save({"model": weights, **self._best}, self._run.best)
        return {"validation": name, "value": value}

    def best_weights(self) -> Weights:
        """Return the best weights so far.

        Raises:
            RunError: when nothing was evaluated yet.
        """
        if not self._run.best.exists():
            raise RunError(f"{self._run.root}: no validation has taken place")
        weights: Weights = checkpoint.load(self._run.best)["model"]
        return weights


class Validation(NamedTuple):
    """Quality of a model, by the metric that the data allows."""

    name: str
    """`AP`, or `recall@100` with the number of detections."""
    value: float
    """0 to 100; higher is better, among values of one name."""


def validate(
    detections: Sequence[Detections], dataset: Dataset, *, limit: int = DETECTIONS
) -> Validation:
    """Return COCO's AP on images with objects of complete classes if there are any, else recall.

    Exhaustive images are complete in all classes. On others AP is federated: see `evaluate`.

    On sparse annotations, AP counts right detections of objects without a box as errors: the more
    of them a model finds, the worse it looks, and AP would select the checkpoint that has best
    learned the gaps. Recall at a fixed number of detections depends on annotated objects only. A
    model can't improve it by detecting more, only by ranking objects before background.

    Args:
        detections: of the dataset's images, at most one entry each.
        dataset: the validation data.
        limit: number of best-scored detections per image that count for recall.

    Raises:
        AnnotationError: when there are no annotations.
    """
    marked = dataset.with_images(
        image for image in dataset.images if image.exhaustive or image.complete_classes
    )
    # Classes without any object have no AP.
    if measurable_images(marked):
        on_these = [found for found in detections if found.image_id in marked.image_by_id]
        return Validation("AP", evaluate(on_these, marked).ap)
    return Validation(f"recall@{limit}", recall_at(detections, dataset, limit=limit))


def recall_at(
    detections: Sequence[Detections],
    dataset: Dataset,
    *,
    limit: int,
    iou: float = SAME_OBJECT_IOU,
) -> float:
    """Return the share of annotations found by a fixed number of detections, 0 to 100.

    For every image the best-scored detections count, of any class. In this order, each takes the
    remaining annotation of its class that it overlaps most. Crowd regions don't count as
    annotations.

    Args:
        detections: at most one entry per image; images without one have no detections.
        dataset: the truth, or its known part.
        limit: number of detections per image that count.
        iou: minimum overlap with an annotation.

    Raises:
        AnnotationError: when there are no annotations.
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
