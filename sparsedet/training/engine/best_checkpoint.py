"""Measuring a training on its way: the best weights are kept, and a training can end early."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

from sparsedet.annotations import Dataset
from sparsedet.errors import AnnotationError, RunError
from sparsedet.mining.detect import detect_all
from sparsedet.modeling import checkpoint
from sparsedet.modeling.inputs import PixelCache
from sparsedet.runtime import processes
from sparsedet.training.engine.trainer import Weights
from sparsedet.training.evaluation.validation import validate
from sparsedet.training.run_folder import RunFolder, class_ids


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
        self, cfg: CfgNode, run: RunFolder, data: ValidationData, cache: PixelCache
    ) -> None:
        self._cfg = cfg
        self._run = run
        self._data = data
        self._cache = cache
        self._period: int = cfg.TEST.EVAL_PERIOD
        self._end: int = cfg.SOLVER.MAX_ITER
        check_validation(data)
        self._best: dict[str, Any] | None = None
        if run.best.exists():
            kept = checkpoint.load(run.best)
            self._best = {key: value for key, value in kept.items() if key != "model"}

    def is_due(self, iteration: int) -> bool:
        """Tell whether to measure after so many iterations."""
        return iteration % self._period == 0 or iteration == self._end

    def is_exhausted(self, iteration: int, start: int) -> bool:
        """Tell whether training on would be in vain: nothing better came for too long.

        Args:
            iteration: iterations of the run that are done.
            start: of the stage; what it learns from is new, and what was better before is no sign.
        """
        patience: int = self._cfg.SPARSEDET.VALIDATION.PATIENCE
        if patience == 0 or self._best is None:
            return False
        since: int = iteration - max(self._best["iteration"], start)
        return since >= patience * self._period

    def measure(self, weights: Weights, iteration: int) -> dict[str, Any]:
        """Measure weights, and keep them where they are the best so far.

        Returns:
            What `metrics.json` says of it: the measure's name and its value, 0 to 100.
        """
        model = checkpoint.build(self._cfg).eval()
        model.load_state_dict(weights)
        dataset = self._data.dataset
        ids = class_ids(self._run.info(), dataset)
        found = detect_all(
            model, self._cfg, dataset.images, self._data.images, ids, cache=self._cache
        )
        limit: int = self._cfg.SPARSEDET.VALIDATION.DETECTIONS
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
