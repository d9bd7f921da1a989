"""A small fully labelled dataset of digit scenes, and a configuration that trains it in seconds."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from detectron2.config import CfgNode

from sparsedet.annotations import Dataset, write_coco
from sparsedet.modeling import checkpoint
from sparsedet.simulation.scenes import make_scenes
from sparsedet.training.config.loading import load_config
from sparsedet.training.config.methods import apply_method

FULL_SIZE = ("INPUT.MIN_SIZE_TRAIN", "240", "INPUT.MAX_SIZE_TRAIN", "320")
"""The scenes as large as they are, which is the size that models detect on."""


@dataclass(frozen=True)
class Scenes:
    dataset: Dataset
    images: Path
    annotations: Path


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    root = tmp_path_factory.mktemp("scenes")
    dataset = make_scenes(12, root / "images", seed=1)
    write_coco(dataset, root / "train.json")
    return Scenes(dataset, root / "images", root / "train.json")


def short_config(iterations: int, *overrides: str) -> CfgNode:
    """The default configuration, for a few iterations on two images each, half as large."""
    keys = [
        *("SOLVER.MAX_ITER", iterations, "SOLVER.IMS_PER_BATCH", 2, "SOLVER.WARMUP_ITERS", 2),
        *("INPUT.MIN_SIZE_TRAIN", 120, "INPUT.MAX_SIZE_TRAIN", 160),
    ]
    return load_config("lite0_fpn", [*map(str, keys), *overrides])


def untrained_model(*overrides: str) -> tuple[torch.nn.Module, CfgNode]:
    """A model of the scenes' classes that has learned nothing, but finds something everywhere."""
    cfg = short_config(6, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.001", *overrides)
    apply_method(cfg, "plain")
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 10
    cfg.MODEL.DEVICE = "cpu"
    torch.manual_seed(1)
    return checkpoint.build(cfg).eval(), cfg
