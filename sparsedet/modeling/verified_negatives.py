"""Verified negatives: boxes that a reviewer rejected, as negatives of their mined class.

Nothing else is known about their content. So they don't mean "background", which would punish an
object of another class, but "not this class": their loss is -log(1 - p_c).
"""

import torch
import torch.nn.functional as F
from detectron2.structures import Instances
from torch import Tensor

from sparsedet.modeling.targets import Targets, overlaps_same_class

NO_CLASS = -1
"""In `negative_classes`: the row is not a verified negative."""


@torch.no_grad()
def sample_verified_negatives(targets: Targets, *, label_iou: float, limit: int) -> Instances:
    """Return an image's verified negatives to use in a training step.

    Leaves out those on a label of their class: the object is there, with a better box.

    Args:
        targets: the rows of the image.
        label_iou: ioU from which a verified negative is on a label.
        limit: maximum number; more are subsampled with torch's generator.
    """
    negatives = targets.verified_negatives
    on_label = overlaps_same_class(
        negatives.gt_boxes, negatives.gt_classes, targets.labels, label_iou
    )
    negatives = negatives[~on_label]
    if len(negatives) <= limit:
        return negatives
    order = torch.randperm(len(negatives), device=negatives.gt_classes.device)
    return negatives[order[:limit]]


def append_verified_negatives(
    sampled: Instances, negatives: Instances, background: int
) -> Instances:
    """Return an image's sampled proposals followed by its verified negatives.

    Args:
        sampled: with `proposal_boxes`, `objectness_logits`, `gt_classes` and, if the image has
            labels, `gt_boxes`.
        negatives: with `gt_boxes` and `gt_classes`.
        background: detectron2's class of background.

    Returns:
        The fields of `sampled`, and `negative_classes`: the class that a verified negative is not,
        `NO_CLASS` for proposals.
    """
    if len(negatives) == 0:
        return sampled
    rows = Instances(sampled.image_size)
    rows.proposal_boxes = negatives.gt_boxes
    rows.objectness_logits = sampled.objectness_logits.new_zeros(len(negatives))
    rows.gt_classes = torch.full_like(negatives.gt_classes, background)
    if sampled.has("gt_boxes"):
        # A placeholder: background has no target box.
        rows.gt_boxes = negatives.gt_boxes
    if sampled.has("gt_weights"):
        rows.gt_weights = sampled.gt_weights.new_ones(len(negatives))
    if sampled.has("gt_mined"):
        rows.gt_mined = torch.zeros_like(negatives.gt_classes, dtype=torch.bool)
    if sampled.has("not_classes"):
        rows.not_classes = sampled.not_classes.new_zeros((len(negatives), background))
    rows.negative_classes = negatives.gt_classes
    sampled.negative_classes = torch.full_like(sampled.gt_classes, NO_CLASS)
    return Instances.cat([sampled, rows])


def not_class_loss(logits: Tensor, classes: Tensor, *, sigmoid: bool) -> Tensor:
    """Return -log(1 - p_c), shape (R,), for each row's class c.

    Args:
        logits: shape (R, classes + 1), background last.
        classes: shape (R,).
        sigmoid: whether class probabilities are independent, as with
            MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE, instead of a softmax.
    """
    logits = logits.float()
    column = classes[:, None]
    own = logits.gather(1, column)[:, 0]
    if not sigmoid:
        # p_c is the sigmoid of the class's logit against all others together. Unlike 1 - softmax,
        # this is exact where p_c is close to 0 or 1.
        own = own - logits.scatter(1, column, float("-inf")).logsumexp(dim=1)
    return F.softplus(own)
