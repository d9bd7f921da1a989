"""Configurations that train the scenes in seconds."""

import torch

from sparsedet.config.training_config import TrainingConfig, load_config
from sparsedet.modeling import checkpoint

FULL_SIZE = ("INPUT.MIN_SIZE_TRAIN", "240", "INPUT.MAX_SIZE_TRAIN", "320")
"""The scenes as large as they are, which is the size that models detect on."""


def short_config(iterations: int, *overrides: str, method: str | None = None) -> TrainingConfig:
    """The default configuration, for a few iterations on two images each, half as large.

    With a method, it is that of a run on the scenes' classes.
    """
    keys = [
        *("SOLVER.MAX_ITER", iterations, "SOLVER.IMS_PER_BATCH", 2, "SOLVER.WARMUP_ITERS", 2),
        *("INPUT.MIN_SIZE_TRAIN", 120, "INPUT.MAX_SIZE_TRAIN", 160),
    ]
    config = load_config("lite0_fpn", [*map(str, keys), *overrides])
    if method is None:
        return config
    return config.prepared(method=method, seed=1, classes=10).with_values({"MODEL.DEVICE": "cpu"})


def untrained_model(*overrides: str) -> tuple[torch.nn.Module, TrainingConfig]:
    """A model of the scenes' classes that has learned nothing, but finds something everywhere."""
    keys = ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.001", *overrides)
    config = short_config(6, *keys, method="plain")
    torch.manual_seed(1)
    return checkpoint.build(config.node).eval(), config
