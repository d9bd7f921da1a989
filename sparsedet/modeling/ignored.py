"""Boxes that training must neither learn nor punish: objects in doubt.

They travel inside an image's `Instances` as rows whose `gt_ignored` is true, so that detectron2's
meta-architectures hand them on unchanged; RPN and ROI heads take them out again.
"""

import torch
from detectron2.structures import Boxes, Instances, pairwise_iou
from torch import Tensor


def split_ignored(targets: Instances) -> tuple[Instances, Boxes]:
    """Return the labels of an image, and its boxes to ignore (XYXY, input pixels)."""
    if not targets.has("gt_ignored"):
        return targets, Boxes(targets.gt_boxes.tensor[:0])
    ignored: Tensor = targets.gt_ignored
    labels = Instances(targets.image_size)
    labels.gt_boxes = targets.gt_boxes[~ignored]
    labels.gt_classes = targets.gt_classes[~ignored]
    return labels, targets.gt_boxes[ignored]


def overlaps(boxes: Boxes, others: Boxes, iou: float) -> Tensor:
    """Return, shape (len(boxes),), which boxes overlap one of `others` by at least `iou`."""
    if len(boxes) == 0 or len(others) == 0:
        return torch.zeros(len(boxes), dtype=torch.bool, device=boxes.tensor.device)
    covered: Tensor = pairwise_iou(boxes, others).max(dim=1).values >= iou
    return covered
