"""Single training steps, and samples of the ROI heads, of the default model with random weights."""

from typing import Any

import torch
from detectron2.structures import Instances
from detectron2.utils.events import EventStorage

from sparsedet.modeling.checkpoint import build
from sparsedet.training.config.loading import load_config
from sparsedet.training.config.methods import apply_method
from tests.modeling.boxes import SIZE, proposals

LABEL, ELSEWHERE = (40.0, 40.0, 100.0, 100.0), (180.0, 60.0, 250.0, 130.0)
"""Two boxes that don't touch, XYXY."""
CAT, DOG = 0, 1


def build_model(method: str, *overrides: str) -> Any:
    cfg = load_config("lite0_fpn", ["MODEL.WEIGHTS", "", *overrides])
    apply_method(cfg, method)
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 3
    torch.manual_seed(0)
    return build(cfg).train()


def image(seed: int = 1) -> torch.Tensor:
    return torch.randint(0, 255, (3, *SIZE), generator=torch.Generator().manual_seed(seed))


def step(model: Any, *targets: Instances, iteration: int = 0) -> dict[str, torch.Tensor]:
    inputs = [
        {"image": image(number), "image_augmented": image(number + 9), "instances": target}
        for number, target in enumerate(targets)
    ]
    torch.manual_seed(0)
    with EventStorage(iteration):
        losses: dict[str, torch.Tensor] = model(inputs)
    return losses


def sample(model: Any, *targets: Instances) -> list[Instances]:
    """Sample from as many background proposals as there are places, and more."""
    grid = [(x, 160.0, x + 20.0, 180.0) for x in range(200)]
    with EventStorage():
        sampled: list[Instances] = model.roi_heads.label_and_sample_proposals(
            [proposals(grid) for _ in targets], list(targets)
        )
    return sampled
