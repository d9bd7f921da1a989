"""Mixed precision: which type autocast calculates in, and the scaling that fp16 needs."""

import torch
from detectron2.config import CfgNode

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
