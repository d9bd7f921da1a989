"""One training stage: from images to weights, resumable at its last checkpoint."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.utils.events import EventStorage
from torch import Tensor, nn

from sparsedet.errors import TrainingError
from sparsedet.modeling import checkpoint
from sparsedet.modeling.pretrained import load_initial_weights
from sparsedet.run_folder import RunFolder
from sparsedet.training.interrupts import deferred_interrupt
from sparsedet.training.loader import Batch, batches
from sparsedet.training.metrics import MetricsLog
from sparsedet.training.optimizer import optimizer_and_schedule
from sparsedet.training.samples import TrainingImage

LOG_PERIOD = 20
"""Iterations between two lines of `metrics.json`."""


@dataclass(frozen=True, slots=True)
class StageProgress:
    """Where a stage stands, told after every iteration."""

    stage: str
    iteration: int
    """Iterations done."""
    iterations: int
    """Iterations in all."""
    losses: dict[str, float]
    """Of this iteration, by name; `total_loss` is their sum."""


OnProgress = Callable[[StageProgress], None]


def train_stage(
    name: str,
    images: Sequence[TrainingImage],
    cfg: CfgNode,
    run: RunFolder,
    *,
    seed: int,
    on_progress: OnProgress,
) -> nn.Module:
    """Train cfg's model on `images`, going on from the stage's checkpoint where there is one.

    Interrupted by Ctrl-C or SIGTERM, the stage finishes its iteration and saves its state.

    Raises:
        TrainingError: when a loss is not finite, naming the batch's images.
    """
    stage = _Stage(name, images, cfg, run, seed)
    stage.load()
    with deferred_interrupt() as interrupted, closing(stage.log):
        for batch in batches(
            images, cfg, seed=seed, start=stage.iteration, end=cfg.SOLVER.MAX_ITER
        ):
            on_progress(stage.step(batch))
            if interrupted():
                stage.save()
                raise KeyboardInterrupt
    stage.save()
    return stage.model


def checkpoint_path(run: RunFolder, stage: str) -> Path:
    """Return the file that holds a stage's training state."""
    return run.checkpoints / f"{stage}.pth"


class _Stage:
    """The state of a stage that is being trained."""

    def __init__(
        self,
        name: str,
        images: Sequence[TrainingImage],
        cfg: CfgNode,
        run: RunFolder,
        seed: int,
    ) -> None:
        self.name = name
        self.cfg = cfg
        self.seed = seed
        self.path = checkpoint_path(run, name)
        self.iteration = 0
        torch.manual_seed(seed)
        self.model = checkpoint.build(cfg).train()
        self.optimizer, self.schedule = optimizer_and_schedule(cfg, self.model)
        self.device = torch.device(cfg.MODEL.DEVICE)
        self.mixed_precision: bool = cfg.SOLVER.AMP.ENABLED
        self.scaler = torch.amp.GradScaler(
            enabled=self.mixed_precision and self.device.type == "cuda"
        )
        self.run = run
        self.log: MetricsLog
        self.sums: dict[str, float] = {}
        self.last_log = self.last_save = time.monotonic()

    def load(self) -> None:
        """Go on from the checkpoint, or start from the initial weights."""
        if self.path.exists():
            state = checkpoint.load(self.path)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            self.scaler.load_state_dict(state["scaler"])
            self.sums = state["sums"]
            self.iteration = state["iteration"]
        else:
            load_initial_weights(self.model, self.cfg)
        self.log = MetricsLog(self.run.metrics, self.run.tensorboard, self.name, self.iteration)

    def save(self) -> None:
        """Write the training state, atomically."""
        checkpoint.save(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "scaler": self.scaler.state_dict(),
                "sums": self.sums,
                "iteration": self.iteration,
            },
            self.path,
        )
        self.last_save = time.monotonic()

    def step(self, batch: Batch) -> StageProgress:
        """Train one iteration; every draw depends on seed and iteration alone, as on resume."""
        torch.manual_seed(self.seed * 1_000_003 + self.iteration)
        with (
            EventStorage(self.iteration),
            torch.autocast(self.device.type, enabled=self.mixed_precision),
        ):
            losses: dict[str, Tensor] = self.model(batch)
            total = torch.stack(list(losses.values())).sum()
        values = {key: loss.item() for key, loss in losses.items()} | {"total_loss": total.item()}
        if not torch.isfinite(total):
            raise TrainingError(_not_finite(self.iteration, values, batch))
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(self.scaler.scale(total))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        rate = self.optimizer.param_groups[0]["lr"]
        self.schedule.step()
        self.iteration += 1
        self._record(values, rate)
        return StageProgress(self.name, self.iteration, self.cfg.SOLVER.MAX_ITER, values)

    def _record(self, values: dict[str, float], rate: float) -> None:
        for key, value in values.items():
            self.sums[key] = self.sums.get(key, 0.0) + value
        if self.iteration % LOG_PERIOD == 0 or self.iteration == self.cfg.SOLVER.MAX_ITER:
            count = (self.iteration - 1) % LOG_PERIOD + 1
            now = time.monotonic()
            entry = {key: value / count for key, value in self.sums.items()}
            entry |= {"lr": rate, "seconds_per_iteration": (now - self.last_log) / count}
            self.log.write(self.iteration, entry)
            self.sums, self.last_log = {}, now
        due = time.monotonic() - self.last_save > self.cfg.SOLVER.CHECKPOINT_SECONDS
        if due or self.iteration % self.cfg.SOLVER.CHECKPOINT_PERIOD == 0:
            self.save()


def _not_finite(iteration: int, values: dict[str, float], batch: Batch) -> str:
    shown = ", ".join(f"{key} {value:.4g}" for key, value in values.items())
    ids: Any = ", ".join(str(item["image_id"]) for item in batch)
    return (
        f"a loss is not finite at iteration {iteration} ({shown}; image ids {ids}); "
        "a lower SOLVER.BASE_LR usually helps"
    )
