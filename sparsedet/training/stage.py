"""One training stage: a part of a run's iterations on the same images, resumable."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.utils.events import EventStorage
from torch import Tensor

from sparsedet.errors import RunError, TrainingError
from sparsedet.modeling import checkpoint
from sparsedet.modeling.pretrained import load_initial_weights
from sparsedet.run_folder import RunFolder
from sparsedet.training.interrupts import deferred_interrupt
from sparsedet.training.loader import Batch, batches
from sparsedet.training.metrics import MetricsLog
from sparsedet.training.moving_average import MovingAverage
from sparsedet.training.optimizer import optimizer_and_schedule
from sparsedet.training.samples import TrainingImage

LOG_PERIOD = 20
"""Iterations between two lines of `metrics.json`."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run's iterations."""

    name: str
    start: int
    """The first iteration, counted from 0."""
    end: int
    """Behind the last iteration."""
    previous: str | None = None
    """The stage whose state this one goes on from; None: initial weights."""


@dataclass(frozen=True, slots=True)
class StageProgress:
    """Where a run stands, told after every iteration."""

    stage: str
    iteration: int
    """Iterations of the run that are done, those of earlier stages included."""
    end: int
    """Iterations at the end of the stage."""
    iterations: int
    """Iterations of the run in all."""
    losses: dict[str, float]
    """Of this iteration, by name; `total_loss` is their sum."""


Weights = dict[str, Tensor]
"""A model's state, by name."""
OnProgress = Callable[[StageProgress], None]


def train_stage(
    stage: Stage,
    images: Sequence[TrainingImage],
    cfg: CfgNode,
    run: RunFolder,
    *,
    seed: int,
    on_progress: OnProgress,
) -> Weights:
    """Train cfg's model on `images`, going on from the stage's checkpoint where there is one.

    Interrupted by Ctrl-C or SIGTERM, the stage finishes its iteration and saves its state.

    Returns:
        The weights: with SOLVER.EMA_DECAY their moving average.

    Raises:
        TrainingError: when a loss is not finite, naming the batch's images.
    """
    training = _Training(stage, cfg, run, seed)
    training.load()
    with deferred_interrupt() as interrupted, closing(training.log):
        for batch in batches(
            images,
            cfg,
            seed=seed,
            start=training.iteration,
            end=stage.end,
            # Mining is of images as they are; what it found is learned on changed ones, too.
            zoomed=stage.previous is not None,
        ):
            on_progress(training.step(batch))
            if interrupted():
                training.save()
                raise KeyboardInterrupt
    training.save()
    return training.weights()


def checkpoint_path(run: RunFolder, stage: str) -> Path:
    """Return the file that holds the training state of a stage."""
    return run.checkpoints / f"{stage}.pth"


class _Training:
    """The state of a run in one of its stages."""

    def __init__(self, stage: Stage, cfg: CfgNode, run: RunFolder, seed: int) -> None:
        self.stage = stage
        self.cfg = cfg
        self.seed = seed
        self.run = run
        self.path = checkpoint_path(run, stage.name)
        self.iteration = stage.start
        torch.manual_seed(seed)
        self.model = checkpoint.build(cfg).train()
        self.optimizer, self.schedule = optimizer_and_schedule(cfg, self.model)
        self.device = torch.device(cfg.MODEL.DEVICE)
        self.mixed_precision: bool = cfg.SOLVER.AMP.ENABLED
        self.scaler = torch.amp.GradScaler(
            enabled=self.mixed_precision and self.device.type == "cuda"
        )
        self.average: MovingAverage | None = None
        self.log: MetricsLog
        self.sums: dict[str, float] = {}
        self.last_log = self.last_save = time.monotonic()

    def load(self) -> None:
        """Go on from the checkpoint, or the previous stage's, or start with initial weights."""
        state = None
        if self.path.exists():
            state = checkpoint.load(self.path)
        elif self.stage.previous is not None:
            state = checkpoint.load(checkpoint_path(self.run, self.stage.previous))
        if state is None:
            load_initial_weights(self.model, self.cfg)
        else:
            _check_state(state, self.stage, self.run)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            if state["scaler"]:
                # A run that began on a CPU has none.
                self.scaler.load_state_dict(state["scaler"])
            self.sums = state["sums"]
            self.iteration = state["iteration"]
        if self.cfg.SOLVER.EMA_DECAY > 0:
            self.average = MovingAverage(self.model, self.cfg.SOLVER.EMA_DECAY)
            if state is not None:
                self.average.load_state_dict(state["average"])
        name = self.stage.name
        self.log = MetricsLog(self.run.metrics, self.run.tensorboard, name, self.iteration)

    def weights(self) -> Weights:
        """Return the weights to detect with."""
        return self.model.state_dict() if self.average is None else self.average.model_state()

    def save(self) -> None:
        """Write the training state, atomically."""
        checkpoint.save(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "scaler": self.scaler.state_dict(),
                "average": {} if self.average is None else self.average.state_dict(),
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
        if self.average is not None:
            self.average.update(self.iteration)
        self.iteration += 1
        self._record(values, rate)
        return StageProgress(
            self.stage.name, self.iteration, self.stage.end, self.cfg.SOLVER.MAX_ITER, values
        )

    def _record(self, values: dict[str, float], rate: float) -> None:
        for key, value in values.items():
            self.sums[key] = self.sums.get(key, 0.0) + value
        if self.iteration % LOG_PERIOD == 0 or self.iteration == self.stage.end:
            count = min((self.iteration - 1) % LOG_PERIOD + 1, self.iteration - self.stage.start)
            now = time.monotonic()
            entry = {key: value / count for key, value in self.sums.items()}
            entry |= {"lr": rate, "seconds_per_iteration": (now - self.last_log) / count}
            self.log.write(self.iteration, entry)
            self.sums, self.last_log = {}, now
        due = time.monotonic() - self.last_save > self.cfg.SOLVER.CHECKPOINT_SECONDS
        if due or self.iteration % self.cfg.SOLVER.CHECKPOINT_PERIOD == 0:
            self.save()


def _check_state(state: dict[str, Any], stage: Stage, run: RunFolder) -> None:
    """Refuse what a former version saved under the same name, with stages of its own."""
    if "average" not in state or not stage.start <= state["iteration"] <= stage.end:
        raise RunError(
            f"{run.root}: begun by another version of sparsedet, whose training can't be gone on "
            "with; start another run with another -o"
        )


def _not_finite(iteration: int, values: dict[str, float], batch: Batch) -> str:
    shown = ", ".join(f"{key} {value:.4g}" for key, value in values.items())
    ids: Any = ", ".join(str(item["image_id"]) for item in batch)
    return (
        f"a loss is not finite at iteration {iteration} ({shown}; image ids {ids}); "
        "a lower SOLVER.BASE_LR usually helps"
    )
