"""A training whose steps can be taken one at a time."""

import time
from collections.abc import Iterator, Mapping, Sequence

import torch
from detectron2.config import CfgNode
from detectron2.utils.events import EventStorage
from torch import Tensor

from sparsedet.modeling import checkpoint
from sparsedet.modeling.pretrained import load_initial_weights
from sparsedet.training.loader import Batch, batches
from sparsedet.training.moving_average import MovingAverage
from sparsedet.training.optimizer import optimizer_and_schedule
from sparsedet.training.samples import TrainingImage
from sparsedet.training.settings import load_config
from sparsedet.training.train import prepare_config

SEED = 1
_ENDLESS = 10**9


def configuration(method: str, classes: int, overrides: Sequence[str] = ()) -> CfgNode:
    """Return the default configuration for a method, on the CPU."""
    cfg = prepare_config(
        load_config("lite0_fpn", overrides), method=method, seed=SEED, classes=classes
    )
    cfg.MODEL.DEVICE = "cpu"
    return cfg


class Trainer:
    """What a stage of a run does in every iteration, but for the log and the checkpoints."""

    def __init__(
        self, cfg: CfgNode, images: Sequence[TrainingImage], *, zoomed: bool = False
    ) -> None:
        self.cfg = cfg
        torch.manual_seed(SEED)
        self.model = checkpoint.build(cfg).train()
        load_initial_weights(self.model, cfg)
        self.optimizer, self.schedule = optimizer_and_schedule(cfg, self.model)
        decay = cfg.SOLVER.EMA_DECAY
        self.average = MovingAverage(self.model, decay) if decay > 0 else None
        self.images = images
        self.batches: Iterator[Batch] = batches(
            images, cfg, seed=SEED, start=0, end=_ENDLESS, zoomed=zoomed
        )
        self.steps = 0
        self.losses: dict[str, float] = {}
        """Of the last step, by name."""

    def fill_cache(self) -> None:
        """Load every image once."""
        # Portraits and landscapes fill batches of their own: an epoch may have one more.
        for _ in range(-(-len(self.images) // self.cfg.SOLVER.IMS_PER_BATCH) + 1):
            next(self.batches)

    def step(self, iteration: int) -> float:
        """Train one step as if it were `iteration`; return the seconds that it took."""
        torch.manual_seed(SEED + self.steps)
        start = time.perf_counter()
        batch = next(self.batches)
        with EventStorage(iteration):
            losses: Mapping[str, Tensor] = self.model(batch)
            total = torch.stack(list(losses.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        self.optimizer.step()
        self.schedule.step()
        if self.average is not None:
            self.average.update(self.steps)
        seconds = time.perf_counter() - start
        self.steps += 1
        self.losses = {name: loss.item() for name, loss in losses.items()}
        return seconds
