"""Optimisers, schedules, mixed precision and the moving average of the weights."""

from collections.abc import Mapping

import torch
from detectron2.solver import build_lr_scheduler, build_optimizer, get_default_optimizer_params
from detectron2.solver.build import maybe_add_gradient_clipping
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from sparsedet.config.sections import SolverConfig
from sparsedet.config.training_config import TrainingConfig
from sparsedet.errors import ConfigError

_BODY = "backbone.bottom_up."
"""Parameter prefix of the pretrained weights."""
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_RAMP = 10
"""Early on, the average follows faster: it forgets the initial weights within some iterations."""


def optimizer_and_schedule(
    config: TrainingConfig, model: nn.Module
) -> tuple[torch.optim.Optimizer, LRScheduler]:
    """Return optimiser and schedule; the schedule steps once per iteration.

    Raises:
        ConfigError: when the learning rate would rise to its final value.
    """
    solver = config.solver
    end: float = config.node.SOLVER.BASE_LR_END
    if solver.lr_scheduler_name == "WarmupCosineLR" and end > solver.base_lr:
        raise ConfigError(
            f"configuration key SOLVER.BASE_LR_END is {end:g}, more than SOLVER.BASE_LR, "
            f"{solver.base_lr:g}; lower it as well"
        )
    if solver.optimizer == "SGD":
        optimizer = build_optimizer(config.node, model)
    else:
        groups = get_default_optimizer_params(
            model,
            base_lr=solver.base_lr,
            weight_decay_norm=solver.weight_decay_norm,
            bias_lr_factor=solver.bias_lr_factor,
            weight_decay_bias=solver.weight_decay_bias,
            lr_factor_func=lambda name: solver.body_lr_factor if name.startswith(_BODY) else 1.0,
        )
        adam = torch.optim.AdamW(groups, lr=solver.base_lr, weight_decay=solver.weight_decay)
        optimizer = maybe_add_gradient_clipping(config.node, adam)
    return optimizer, build_lr_scheduler(config.node, optimizer)


def autocast_type(solver: SolverConfig, device: torch.device) -> torch.dtype | None:
    """Return the precision for mixed-precision training on a device; None is full precision.

    `auto` is bf16 if the device supports it, which needs no scaling, else fp16.
    """
    if not solver.mixed_precision:
        return None
    name = solver.precision
    if name == "auto":
        # Emulation on a GPU is slower than full precision.
        supported = device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
        name = "bf16" if supported else "fp16"
    return _TYPES[name]


def gradient_scaler(precision: torch.dtype | None, device: torch.device) -> torch.amp.GradScaler:
    """Return the scaler that keeps small fp16 gradients from vanishing; otherwise a no-op.

    Micikevicius et al., "Mixed Precision Training" (ICLR 2018).
    """
    return torch.amp.GradScaler(device.type, enabled=precision is torch.float16)


class ModelEMA:
    """The exponential moving average (EMA) of a model's trainable parameters.

    Late weights of a short training oscillate around a better point; their average is closer to it.
    Polyak and Juditsky, "Acceleration of stochastic approximation by averaging" (1992); for judging
    unlabelled data: Tarvainen and Valpola, "Mean teachers are better role models" (NeurIPS 2017).

    Frozen parameters and buffers don't change, and are the model's own.

    Args:
        model: the model.
        decay: share of the average that each update keeps, 0 to 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._current = {
            name: parameter
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }
        self._model = model
        self._average = {name: value.detach().clone() for name, value in self._current.items()}

    @torch.no_grad()
    def update(self, iteration: int) -> None:
        """Update with the weights after `iteration`, counted from 0."""
        keep = min(self._decay, (1 + iteration) / (_RAMP + iteration))
        torch._foreach_lerp_(list(self._average.values()), list(self._current.values()), 1 - keep)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged parameters only."""
        return dict(self._average)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Resume from the result of `state_dict`."""
        for name, value in self._average.items():
            value.copy_(state[name])

    def model_state(self) -> dict[str, Tensor]:
        """Return the whole model's state with averaged parameters."""
        return {**self._model.state_dict(), **self._average}
