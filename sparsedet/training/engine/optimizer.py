"""Optimisers and learning-rate schedules from the SOLVER keys."""

import torch
from detectron2.config import CfgNode
from detectron2.solver import build_lr_scheduler, build_optimizer, get_default_optimizer_params
from detectron2.solver.build import maybe_add_gradient_clipping
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from sparsedet.errors import ConfigError

_BODY = "backbone.bottom_up."
"""Where the pretrained weights are."""


def optimizer_and_schedule(
    cfg: CfgNode, model: nn.Module
) -> tuple[torch.optim.Optimizer, LRScheduler]:
    """Return optimiser and schedule; the schedule steps once per iteration."""
    if cfg.SOLVER.OPTIMIZER == "SGD":
        optimizer = build_optimizer(cfg, model)
    elif cfg.SOLVER.OPTIMIZER == "AdamW":
        groups = get_default_optimizer_params(
            model,
            base_lr=cfg.SOLVER.BASE_LR,
            weight_decay_norm=cfg.SOLVER.WEIGHT_DECAY_NORM,
            bias_lr_factor=cfg.SOLVER.BIAS_LR_FACTOR,
            weight_decay_bias=cfg.SOLVER.WEIGHT_DECAY_BIAS,
            lr_factor_func=lambda name: (
                cfg.SOLVER.BODY_LR_FACTOR if name.startswith(_BODY) else 1.0
            ),
        )
        adam = torch.optim.AdamW(
            groups, lr=cfg.SOLVER.BASE_LR, weight_decay=cfg.SOLVER.WEIGHT_DECAY
        )
        optimizer = maybe_add_gradient_clipping(cfg, adam)
    else:
        raise ConfigError(f"SOLVER.OPTIMIZER {cfg.SOLVER.OPTIMIZER!r} is neither SGD nor AdamW")
    return optimizer, build_lr_scheduler(cfg, optimizer)


_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast_type(cfg: CfgNode) -> torch.dtype | None:
    """Return what SOLVER.AMP asks for on the configured device; None is full precision.

    `auto` is bf16 where the device calculates in it, which needs no scaling, else fp16.
    """
    if not cfg.SOLVER.AMP.ENABLED:
        return None
    name: str = cfg.SOLVER.AMP.PRECISION
    if name == "auto":
        on_gpu = torch.device(cfg.MODEL.DEVICE).type == "cuda"
        # What a GPU only emulates is slower than full precision.
        supported = not on_gpu or torch.cuda.is_bf16_supported(including_emulation=False)
        name = "bf16" if supported else "fp16"
    return _TYPES[name]


def gradient_scaler(cfg: CfgNode) -> torch.amp.GradScaler:
    """Return the scaler that keeps small fp16 gradients from vanishing; otherwise it does nothing.

    Micikevicius et al., "Mixed Precision Training" (ICLR 2018).
    """
    device = torch.device(cfg.MODEL.DEVICE).type
    return torch.amp.GradScaler(device, enabled=autocast_type(cfg) is torch.float16)
