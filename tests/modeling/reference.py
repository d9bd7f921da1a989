"""The reference implementation's data: one training step, recorded on CPU (see data/README.md)."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml
from detectron2.config import CfgNode, get_cfg
from detectron2.structures import Boxes, Instances
from safetensors.torch import load_file
from torch import Tensor

from sparsedet.modeling import SparseDetRCNN, add_sparsedet_config
from sparsedet.modeling.cpu import speed_up

DATA = Path(__file__).parent / "data"
IMAGES = ("image0", "image1")
SIZE = (128, 160)
"""Height and width of the recorded images."""


@cache
def tensors() -> dict[str, Tensor]:
    return load_file(DATA / "step.safetensors")


@cache
def losses() -> dict[str, dict[str, float]]:
    loaded: dict[str, dict[str, float]] = json.loads((DATA / "step_losses.json").read_text())
    return loaded


def below(prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors().items()
        if name.startswith(prefix)
    }


def config() -> CfgNode:
    """The recorded configuration without the reference's own keys, for our meta-architecture."""
    cfg = get_cfg()
    recorded = yaml.load((DATA / "step_config.yaml").read_text(), Loader=yaml.SafeLoader)
    cfg.merge_from_other_cfg(CfgNode(_known(recorded, cfg)))
    add_sparsedet_config(cfg)
    cfg.MODEL.META_ARCHITECTURE = "SparseDetRCNN"
    cfg.MODEL.PROPOSAL_GENERATOR.NAME = "SparseRPN"
    cfg.MODEL.ROI_HEADS.NAME = "SparseROIHeads"
    cfg.MODEL.RPN.LABELLED_IMAGES_ONLY = True
    cfg.SPARSEDET.PSEUDO_POSITIVES.START_ITER = 10
    return cfg


def _known(recorded: dict[str, Any], cfg: CfgNode) -> dict[str, Any]:
    return {
        key: _known(value, cfg[key]) if isinstance(cfg[key], CfgNode) else value
        for key, value in recorded.items()
        if key in cfg
    }


def model(*, cpu_kernels: bool = True) -> SparseDetRCNN:
    built: SparseDetRCNN = SparseDetRCNN(config())
    built.load_state_dict(below("weights/"), strict=True)
    if cpu_kernels:
        speed_up(built)
    built.train()
    return built


def labels(group: str, image: str) -> Instances:
    instances = Instances(SIZE)
    if group == "none":
        instances.gt_boxes = Boxes(torch.zeros(0, 4))
        instances.gt_classes = torch.zeros(0, dtype=torch.int64)
    else:
        instances.gt_boxes = Boxes(tensors()[f"{group}/{image}/boxes"].clone())
        instances.gt_classes = tensors()[f"{group}/{image}/classes"].clone()
    return instances


def batch(group: str) -> list[dict[str, Any]]:
    return [
        {
            "image": tensors()[f"{image}/original"],
            "image_augmented": tensors()[f"{image}/augmented"],
            "instances": labels(group, image),
        }
        for image in IMAGES
    ]
