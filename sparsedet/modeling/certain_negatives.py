"""Certain negatives: boxes that a reviewer rejected, held against the class they were mined as.

Nothing else is known of what they show. So they don't say "background", which would punish an
object of another class, but "not this class": their loss is -log(1 - p_c).
"""

import torch
import torch.nn.functional as F
from detectron2.structures import Instances
from torch import Tensor

from sparsedet.modeling.targets import Targets, overlaps_same_class

NO_CLASS = -1
"""In `rejected_classes`: the row is no certain negative."""


@torch.no_grad()
def certain_negatives(targets: Targets, *, label_iou: float, limit: int) -> Instances:
    """Return the rejected boxes of an image that a training step counts.

    A rejected box on a label of its class is none: the object is there, and was drawn better.

    Args:
        targets: the rows of the image.
        label_iou: from this IoU on, a rejected box is on a label.
        limit: the most to return; of more, torch's generator draws.
    """
    rejected = targets.rejected
    on_label = overlaps_same_class(
        rejected.gt_boxes, rejected.gt_classes, targets.labels, label_iou
    )
    rejected = rejected[~on_label]
    if len(rejected) <= limit:
        return rejected
    order = torch.randperm(len(rejected), device=rejected.gt_classes.device)
    return rejected[order[:limit]]


def append_certain_negatives(sampled: Instances, rejected: Instances, background: int) -> Instances:
    """Return an image's sampled proposals with its certain negatives behind them.

    Args:
        sampled: with `proposal_boxes`, `objectness_logits`, `gt_classes` and, where the image has
            labels, `gt_boxes`.
        rejected: with `gt_boxes` and `gt_classes`.
        background: the class that detectron2 gives to background.

    Returns:
        The fields of `sampled`, and `rejected_classes`: what a certain negative is not, `NO_CLASS`
        for the proposals.
    """
    if len(rejected) == 0:
        return sampled
    rows = Instances(sampled.image_size)
    rows.proposal_boxes = rejected.gt_boxes
    rows.objectness_logits = sampled.objectness_logits.new_zeros(len(rejected))
    rows.gt_classes = torch.full_like(rejected.gt_classes, background)
    if sampled.has("gt_boxes"):
        # A placeholder: background has no box to be moved to.
        rows.gt_boxes = rejected.gt_boxes
    if sampled.has("gt_mined"):
        rows.gt_mined = torch.zeros_like(rejected.gt_classes, dtype=torch.bool)
    rows.rejected_classes = rejected.gt_classes
    sampled.rejected_classes = torch.full_like(sampled.gt_classes, NO_CLASS)
    return Instances.cat([sampled, rows])


def rejected_classes(proposals: list[Instances]) -> Tensor:
    """Return, shape (R,), the class that each of R sampled proposals is not, else `NO_CLASS`."""
    return torch.cat(
        [
            image.rejected_classes
            if image.has("rejected_classes")
            else torch.full_like(image.gt_classes, NO_CLASS)
            for image in proposals
        ]
    )


def not_class_loss(logits: Tensor, classes: Tensor, *, sigmoid: bool) -> Tensor:
    """Return, shape (R,), -log(1 - p_c) of each row's class c.

    Args:
        logits: shape (R, classes + 1), background last.
        classes: shape (R,).
        sigmoid: whether the classes are independent of each other, as with
            MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE, instead of a softmax.
    """
    logits = logits.float()
    column = classes[:, None]
    own = logits.gather(1, column)[:, 0]
    if not sigmoid:
        # p_c is the sigmoid of the class's logit against all others together. Unlike 1 - softmax,
        # this loses nothing where p_c is close to 0 or 1.
        own = own - logits.scatter(1, column, float("-inf")).logsumexp(dim=1)
    return F.softplus(own)
