"""Classes that are complete on an image: unlabelled regions are certainly not of these classes.

So proposals of which nothing else is known (on ignore regions, or on images without any label) are
certain negatives of these classes, while they may show an object of another one. Their loss is
-log(1 - p), where p is the total probability of the complete classes: over all classes that is the
ordinary background loss, and for a single one that of a verified negative.
"""

import torch
import torch.nn.functional as F
from detectron2.structures import Instances
from torch import Tensor


def append_uncertain(
    sampled: Instances, uncertain: Instances, complete: Tensor, *, classes: int, ignore: int
) -> Instances:
    """Return an image's sampled proposals followed by uncertain ones.

    Args:
        sampled: with `proposal_boxes`, `objectness_logits` and `gt_classes`, plus label fields if
            the image has labels.
        uncertain: with `proposal_boxes` and `objectness_logits`.
        complete: the complete classes of the image, shape (M,).
        classes: number of classes.
        ignore: the `gt_classes` value for unknown proposals, used for the uncertain ones.

    Returns:
        The fields of `sampled`, and `not_classes`, shape (R, classes): classes that a proposal of
        unknown class is not; all false for proposals of known class.
    """
    if len(uncertain):
        rows = Instances(sampled.image_size)
        rows.proposal_boxes = uncertain.proposal_boxes
        rows.objectness_logits = uncertain.objectness_logits
        rows.gt_classes = sampled.gt_classes.new_full((len(uncertain),), ignore)
        if sampled.has("gt_boxes"):
            # A placeholder: there is no known target box.
            rows.gt_boxes = uncertain.proposal_boxes
        if sampled.has("gt_weights"):
            rows.gt_weights = sampled.gt_weights.new_ones(len(uncertain))
        if sampled.has("gt_mined"):
            rows.gt_mined = sampled.gt_mined.new_zeros(len(uncertain))
        sampled = Instances.cat([sampled, rows])
    is_complete = torch.zeros(classes, dtype=torch.bool, device=complete.device)
    is_complete[complete] = True
    sampled.not_classes = (sampled.gt_classes == ignore)[:, None] & is_complete
    return sampled


def none_of_loss(logits: Tensor, not_classes: Tensor, *, sigmoid: bool) -> Tensor:
    """Return -log(1 - p), shape (R,), where p is the probability of each row's excluded classes.

    Args:
        logits: shape (R, classes + 1), background last.
        not_classes: shape (R, classes), at least one true per row.
        sigmoid: whether class probabilities are independent, as with
            MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE, instead of a softmax.
    """
    logits = logits.float()
    if sigmoid:
        losses: Tensor = F.softplus(logits[:, :-1]).masked_fill(~not_classes, 0.0).sum(dim=1)
        return losses
    # p is the sigmoid of these classes' logit against all others, including background.
    is_not = F.pad(not_classes, (0, 1), value=False)
    these = logits.masked_fill(~is_not, float("-inf")).logsumexp(dim=1)
    others = logits.masked_fill(is_not, float("-inf")).logsumexp(dim=1)
    return F.softplus(these - others)
