"""A run whose model detects something in every image, made without training."""

from collections.abc import Sequence
from pathlib import Path

import torch

from sparsedet.atomic_io import write_text
from sparsedet.config.training_config import load_config
from sparsedet.modeling.checkpoint import build, save
from sparsedet.run_folder import RunFolder, RunInfo

_SURE = 4.0
"""Added to the logits of the classes: a score of about 0.96."""


def make_eager_run(
    folder: Path, classes: Sequence[tuple[int, str]], run_id: str = "eager", seed: int = 1
) -> RunFolder:
    """Write a finished run: random weights, but sure that every proposal shows the first class."""
    config = load_config("lite0_fpn", ["INPUT.MIN_SIZE_TEST", "120"])
    config = config.prepared(method="plain", seed=seed, classes=len(classes))
    config = config.with_values({"MODEL.DEVICE": "cpu"})
    torch.manual_seed(seed)
    model = build(config.node)
    weights = model.state_dict()
    weights["roi_heads.box_predictor.cls_score.bias"][0] += _SURE
    run = RunFolder(folder)
    save({"model": weights}, run.model)
    write_text(run.config, config.dump())
    run.write_info(RunInfo(run_id, "plain", seed, "-", "-", list(classes), "-"))
    return run
