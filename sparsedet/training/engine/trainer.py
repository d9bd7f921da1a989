"""A model in training: weights, optimiser, schedule and average, and a single iteration."""

import math
import warnings
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from typing import Any, NoReturn

import torch
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sparsedet.config.training_config import TrainingConfig
from sparsedet.errors import ConfigError, RunError, TrainingError
from sparsedet.modeling import checkpoint
from sparsedet.modeling.compiled import compile_for_training
from sparsedet.modeling.weights.pretrained import check_initial_weights, load_initial_weights
from sparsedet.runtime import processes
from sparsedet.training.data.loader import Batch
from sparsedet.training.engine.checkpoints import State
from sparsedet.training.engine.optimizer import (
    ModelEMA,
    autocast_type,
    gradient_scaler,
    optimizer_and_schedule,
)

_SEED_STRIDE, _RANK_STRIDE = 1_000_003, 1_000_000_007
"""Makes coincidences between the seeds of two iterations, or processes, unlikely."""
_LEAST_SCALE = 2.0**-10
"""Minimum scale of fp16 losses; below, gradients are infinite for any batch."""

_MAX_DETAIL = 150
_ODD_VALUES = (
    ArithmeticError,
    AssertionError,
    ImportError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What torch and detectron2 raise for odd values of a configuration."""
_TRIED_SIDE = 128
"""Pixels of the images that a configuration is tried with; several times the largest stride."""

Weights = dict[str, Tensor]
"""A training state, by name."""


def check_model(config: TrainingConfig, classes: Sequence[str]) -> None:
    """Check that the model can be built, trained and used on the CPU, and initial weights loaded.

    Args:
        config: the configuration.
        classes: names of the model's classes, in order.

    Raises:
        ConfigError: with what torch or detectron2 say, which don't name a key; or when the weights
            can't be found or downloaded, or don't fit.
        RunError: when their file is not a checkpoint.
    """
    config = config.with_values({"MODEL.DEVICE": "cpu"})
    try:
        model = checkpoint.build(config.node)
        optimizer_and_schedule(config, model)
        if processes.ranks() == 1:  # Norms may wait for the other processes, which do not try.
            _try(model)
    except _ODD_VALUES as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:_MAX_DETAIL]
        raise ConfigError(
            f"the configuration gives no model that can be trained ({reason}); check the keys of "
            "MODEL and SOLVER that differ from the configuration's own"
        ) from error
    check_initial_weights(model, config.node, classes)


def _try(model: nn.Module) -> None:
    """Compute losses and detections of blank images: not all odd values show when building."""
    labels = Instances((_TRIED_SIDE, _TRIED_SIDE))
    labels.gt_boxes = Boxes(torch.tensor([[0.25, 0.25, 0.75, 0.75]]) * _TRIED_SIDE)
    labels.gt_classes = torch.zeros(1, dtype=torch.int64)
    blank = torch.full((3, _TRIED_SIDE, _TRIED_SIDE), 127, dtype=torch.uint8)
    item = {"image": blank, "image_augmented": blank, "instances": labels}
    # Some layers, as modulated deformable convolutions, only exist for GPUs.
    with EventStorage(0), suppress(NotImplementedError):
        model.train()([item, item])
        with torch.inference_mode():
            model.eval()([item])


class Trainer:
    """Trains a model; with several processes, each on a share of the batch."""

    def __init__(self, config: TrainingConfig, seed: int) -> None:
        torch.manual_seed(seed)
        self.seed = seed
        self.iteration = 0
        """Number of finished iterations."""
        self.model: nn.Module = checkpoint.build(config.node).train()
        self.device = torch.device(config.model.device)
        self.ema: ModelEMA | None = None
        self._config = config
        self._optimizer, self._schedule = optimizer_and_schedule(config, self.model)
        self._precision = autocast_type(config.solver, self.device)
        self._scaler = gradient_scaler(self._precision, self.device)
        if self._scaler.is_enabled():
            # Until the scale is found, iterations change nothing, but use up their learning rates.
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
        self._parallel: DistributedDataParallel | None = None

    def start(self, state: State | None, iteration: int, classes: Sequence[str] = ()) -> None:
        """Resume from a checkpoint, or start from initial weights at an iteration.

        Args:
            state: the checkpoint to resume from; None: there is none.
            iteration: the iteration to start at.
            classes: names of the model's classes, for matching initial weights.

        Raises:
            RunError: when the checkpoint is of another configuration.
        """
        if state is None:
            self.iteration = iteration
            load_initial_weights(self.model, self._config.node, classes)
        if self._config.solver.ema_decay > 0:
            self.ema = ModelEMA(self.model, self._config.solver.ema_decay)
        if state is not None:
            self._resume(state)
        if self._config.model.compile:
            compile_for_training(self.model)
        if processes.ranks() > 1:
            self._parallel = processes.parallel(self.model)

    def _resume(self, state: State) -> None:
        try:
            self.model.load_state_dict(state["model"])
            self._optimizer.load_state_dict(state["optimizer"])
            self._schedule.load_state_dict(state["schedule"])
            if state["scaler"]:
                # A run that began on a CPU has none.
                self._scaler.load_state_dict(state["scaler"])
            if self.ema is not None:
                self.ema.load_state_dict(state["average"])
            self.iteration = state["iteration"]
        except torch.cuda.OutOfMemoryError as error:
            raise checkpoint.too_little_memory("for the model") from error
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            # Of other parameters, or other content: torch raises any of these.
            reason = " ".join(str(error).split())[:_MAX_DETAIL]
            raise RunError(
                f"the run's checkpoint doesn't fit its config.yaml ({reason}); restore the file, "
                "and the versions of torch and timm, or start another run with another -o (a "
                "round: `sparsedet round --restart`)"
            ) from error

    def state(self) -> State:
        """Return everything that a training resumes from."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "scaler": self._scaler.state_dict(),
            "average": {} if self.ema is None else self.ema.state_dict(),
            "iteration": self.iteration,
        }

    def weights(self) -> Weights:
        """Return the weights for inference: with SOLVER.EMA_DECAY, their EMA."""
        return self.model.state_dict() if self.ema is None else self.ema.model_state()

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next iteration."""
        rate: float = self._optimizer.param_groups[0]["lr"]
        return rate

    def step(self, batch: Batch) -> dict[str, float]:
        """Train one iteration; random draws depend only on seed, iteration and process.

        Args:
            batch: this process's share.

        Returns:
            The losses by name, means over the processes; `total_loss` is their sum.

        Raises:
            TrainingError: when a loss is not finite, naming the batch's images, or when the GPU
                runs out of memory.
        """
        try:
            return self._step(batch)
        except torch.cuda.OutOfMemoryError as error:
            raise TrainingError(
                f"not enough GPU memory at iteration {self.iteration}; "
                "SOLVER.ACCUMULATION 2, a smaller SOLVER.IMS_PER_BATCH or INPUT.MIN_SIZE_TRAIN, or "
                "SOLVER.AMP.ENABLED True uses less"
            ) from error

    def _step(self, batch: Batch) -> dict[str, float]:
        torch.manual_seed(
            self.seed * _SEED_STRIDE + self.iteration + processes.rank() * _RANK_STRIDE
        )
        self._optimizer.zero_grad(set_to_none=True)
        parts = self._parts(batch)
        sums: dict[str, float] = {}
        for number, part in enumerate(parts, start=1):
            for name, value in self._backward(part, len(parts), last=number == len(parts)).items():
                sums[name] = sums.get(name, 0.0) + value / len(parts)
        means = processes.mean(list(sums.values()), self.device)
        losses = dict(zip(sums, means, strict=True))
        if not all(map(math.isfinite, means)):
            self._stop(losses, sums, batch)
        self._check_gradients(losses, batch)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._schedule.step()
        if self.ema is not None:
            self.ema.update(self.iteration)
        self.iteration += 1
        return losses

    def _check_gradients(self, losses: dict[str, float], batch: Batch) -> None:
        """Raise before non-finite gradients reach the weights.

        In fp16, single ones are part of the search for a scale; if that fails, all are.
        """
        if self._scaler.is_enabled():
            finite = self._scaler.get_scale() >= _LEAST_SCALE
        else:
            gradients = [value.grad for value in self.model.parameters() if value.grad is not None]
            norms = torch._foreach_norm(gradients)
            finite = bool(torch.isfinite(torch.stack(norms)).all()) if gradients else True
        if not finite:
            # They are averaged over the processes: all of them reach this point.
            self._stop({**losses, "gradients": math.nan}, {"gradients": math.nan}, batch)

    def _parts(self, batch: Batch) -> Sequence[Batch]:
        """Split the batch into the parts that are on the device at once."""
        count = self._config.solver.accumulation
        size = -(-len(batch) // count)
        return [batch[start : start + size] for start in range(0, len(batch), size)]

    def _backward(self, part: Batch, parts: int, *, last: bool) -> dict[str, float]:
        """Accumulate a part's gradients; return its losses in this process."""
        if self._parallel is None:
            return self._losses(self.model, part, parts)
        # Processes exchange gradients once per iteration, after the last part.
        with nullcontext() if last else self._parallel.no_sync():
            return self._losses(self._parallel, part, parts)

    def _losses(self, model: nn.Module, part: Batch, parts: int) -> dict[str, float]:
        with (
            EventStorage(self.iteration),
            torch.autocast(
                self.device.type, dtype=self._precision, enabled=self._precision is not None
            ),
        ):
            losses: dict[str, Tensor] = model(part)
            total = torch.stack(list(losses.values())).sum()
        torch.autograd.backward(self._scaler.scale(total / parts))
        return {name: loss.item() for name, loss in losses.items()} | {"total_loss": total.item()}

    def _stop(self, losses: dict[str, float], own: dict[str, float], batch: Batch) -> NoReturn:
        """Raise the error of a non-finite loss, naming the images that it occurred on."""
        finite = all(map(math.isfinite, own.values()))
        ids: list[Any] = [] if finite else [item["image_id"] for item in batch]
        suspects = [number for found in processes.gather(ids) for number in found]
        shown = ", ".join(f"{name} {value:.4g}" for name, value in losses.items())
        raise TrainingError(
            f"a loss is not finite at iteration {self.iteration} ({shown}; image ids "
            f"{', '.join(map(str, suspects))}); a lower SOLVER.BASE_LR usually helps"
        )
