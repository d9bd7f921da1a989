"""A training whose steps can be taken one at a time."""

import time
from collections.abc import Iterator, Sequence

from detectron2.config import CfgNode
from torch import nn

from sparsedet.training.config.loading import load_config
from sparsedet.training.data.loader import Batch, batches
from sparsedet.training.data.samples import TrainingImage
from sparsedet.training.engine.train import prepare_config
from sparsedet.training.engine.trainer import Trainer

SEED = 1
_ENDLESS = 10**9


def configuration(method: str, classes: int, overrides: Sequence[str] = ()) -> CfgNode:
    """Return the default configuration for a method, on the CPU."""
    cfg = prepare_config(
        load_config("lite0_fpn", overrides), method=method, seed=SEED, classes=classes
    )
    cfg.MODEL.DEVICE = "cpu"
    return cfg


class TimedTraining:
    """What a stage of a run does in every iteration, but for the log and the checkpoints."""

    def __init__(self, cfg: CfgNode, images: Sequence[TrainingImage]) -> None:
        self.cfg = cfg
        self.images = images
        self._trainer = Trainer(cfg, SEED)
        self._trainer.start(None, 0)
        self._batches: Iterator[Batch] = batches(images, cfg, seed=SEED, start=0, end=_ENDLESS)
        self.losses: dict[str, float] = {}
        """Of the last step, by name."""

    @property
    def model(self) -> nn.Module:
        """The model in training."""
        return self._trainer.model

    def fill_cache(self) -> None:
        """Load every image once."""
        # Portraits and landscapes fill batches of their own: an epoch may have one more.
        for _ in range(-(-len(self.images) // self.cfg.SOLVER.IMS_PER_BATCH) + 1):
            next(self._batches)

    def step(self, iteration: int) -> float:
        """Train one step as if it were `iteration`; return the seconds that it took."""
        self._trainer.iteration = iteration
        start = time.perf_counter()
        self.losses = self._trainer.step(next(self._batches))
        return time.perf_counter() - start
