"""Configurations, rows, proposals and single training steps for tests of the model."""

from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage

from sparsedet.config.training_config import apply_method, load_node
from sparsedet.modeling.checkpoint import build
from sparsedet.modeling.targets import Role

SIZE = (240, 320)
"""Height and width of the image."""
WHOLE = (0.0, 0.0, 320.0, 240.0)

XYXY = tuple[float, float, float, float]
LABEL, ELSEWHERE = (40.0, 40.0, 100.0, 100.0), (180.0, 60.0, 250.0, 130.0)
"""Two boxes that don't touch, XYXY."""
BACKGROUND = [(x, 160.0, x + 20.0, 180.0) for x in range(200)]
"""More boxes than a sample takes, which touch neither."""
CAT, DOG = 0, 1
RANDOM = ("MODEL.WEIGHTS", "")


def rows(*boxes: tuple[Role, XYXY, int]) -> Instances:
    """The rows of an image: role, box and class of each."""
    instances = Instances(SIZE)
    instances.gt_boxes = boxes_of([box for _, box, _ in boxes])
    instances.gt_classes = torch.tensor([number for _, _, number in boxes], dtype=torch.int64)
    instances.gt_roles = torch.tensor([role for role, _, _ in boxes], dtype=torch.int64)
    return instances


def proposals(boxes: Sequence[XYXY], objectness: float = 0.0) -> Instances:
    instances = Instances(SIZE)
    instances.proposal_boxes = boxes_of(boxes)
    instances.objectness_logits = torch.full((len(boxes),), objectness)
    return instances


def detections(*found: tuple[XYXY, int, float]) -> Instances:
    """Box, class and score of each detection."""
    instances = Instances(SIZE)
    instances.pred_boxes = boxes_of([box for box, _, _ in found])
    instances.pred_classes = torch.tensor([number for _, number, _ in found], dtype=torch.int64)
    instances.scores = torch.tensor([score for _, _, score in found])
    return instances


def boxes_of(boxes: Sequence[XYXY]) -> Boxes:
    return Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))


def settings(method: str, *overrides: object, config: str = "lite0_fpn") -> CfgNode:
    cfg = load_node(config, list(map(str, overrides)))
    apply_method(cfg, method)
    cfg.MODEL.DEVICE = "cpu"
    return cfg


def shifted(box: XYXY) -> XYXY:
    """A box that overlaps it by more than half."""
    left, top, right, bottom = box
    return (left + 5, top + 5, right + 5, bottom + 5)


def build_model(method: str, *overrides: str) -> Any:
    cfg = settings(method, *RANDOM, *overrides)
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


def sample(model: Any, *targets: Instances, boxes: Sequence[XYXY] = BACKGROUND) -> list[Instances]:
    """What the ROI heads sample from proposals in every image."""
    with EventStorage():
        sampled: list[Instances] = model.roi_heads.label_and_sample_proposals(
            [proposals(boxes) for _ in targets], list(targets)
        )
    return sampled
