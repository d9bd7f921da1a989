"""Validation of a training on its way: the best weights are kept, and a training can end early.

The figure to choose by is COCO's AP on images where classes are complete, if there are any, else
recall at a fixed number of detections.
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
from sparsedet.training.engine.trainer import Weights
from sparsedet.training.evaluation.average_precision import evaluate
from sparsedet.training.evaluation.readable import detect_readable

DETECTIONS = 100
"""Detections of an image that recall is measured at by default: as in COCO's AR."""


@dataclass(frozen=True, slots=True)
class ValidationData:
    """What a training is measured on."""

    dataset: Dataset
    images: Path
    """The folder of its images."""


def check_validation(data: ValidationData) -> None:
    """Check that there is something to measure on.

    Raises:
        AnnotationError: when there is no annotation.
    """
    if data.dataset.table.iscrowd.all():
        raise AnnotationError("the validation data has no annotations to find")


class Validator:
    """Measures weights every TEST.EVAL_PERIOD iterations, and at the end of the run."""

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
        """Return whether to measure after so many iterations."""
        return iteration % self._period == 0 or iteration == self._end

    def is_exhausted(self, iteration: int, start: int) -> bool:
        """Return whether to end the training: nothing better was measured for too long.

        Args:
            iteration: iterations of the run that are done.
            start: of the stage; what it learns from is new, and what was better before is no sign.
        """
        patience = self._config.validation.patience
        if patience == 0 or self._best is None:
            return False
        since: int = iteration - max(self._best["iteration"], start)
        return since >= patience * self._period

    def measure(self, weights: Weights, iteration: int) -> dict[str, Any]:
        """Measure weights, and keep them where they are the best so far.

        Returns:
            What `metrics.json` says of it: the measure's name and its value, 0 to 100.
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
            RunError: when nothing was measured yet.
        """
        if not self._run.best.exists():
            raise RunError(f"{self._run.root}: no validation has taken place")
        weights: Weights = checkpoint.load(self._run.best)["model"]
        return weights


class Validation(NamedTuple):
    """How good a model is, by the figure that the data allows."""

    name: str
    """`AP`, or `recall@100` with the number of detections."""
    value: float
    """0 to 100; more is better, among values of one name."""


def validate(
    detections: Sequence[Detections], dataset: Dataset, *, limit: int = DETECTIONS
) -> Validation:
    """Return COCO's AP on images with objects of complete classes where there are any, else recall.

    Exhaustive images are complete in all classes. Of others AP is federated: see `evaluate`.

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
