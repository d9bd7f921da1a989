"""Rows, proposals and detections for tests, from plain lists."""

from collections.abc import Sequence

import torch
from detectron2.structures import Boxes, Instances

from sparsedet.modeling.targets import Role

SIZE = (240, 320)
"""Height and width of the image."""
WHOLE = (0.0, 0.0, 320.0, 240.0)

XYXY = tuple[float, float, float, float]


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
