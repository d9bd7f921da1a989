"""Classes that are complete on an image: whatever has no label there is none of them.

So proposals of which nothing else is known (on ignore regions, or on images without any label) are
certain negatives of these classes, while they may show an object of another one. They lose
-log(1 - p), where p is the probability of the complete classes together: of all classes that is the
ordinary loss of background, and of a single one that of a verified negative.
"""

import torch
import torch.nn.functional as F
from detectron2.structures import Instances
from torch import Tensor


def append_uncertain(
    sampled: Instances, uncertain: Instances, complete: Tensor, *, classes: int, ignore: int
) -> Instances:
    """Return an image's sampled proposals with uncertain ones behind them.

    Args:
        sampled: with `proposal_boxes`, `objectness_logits` and `gt_classes`, and further fields of
            labels where the image has some.
        uncertain: with `proposal_boxes` and `objectness_logits`.
        complete: the complete classes of the image, shape (M,).
        classes: how many classes there are.
        ignore: the `gt_classes` of a proposal that nobody knows; so the uncertain ones get it.

    Returns:
        The fields of `sampled`, and `not_classes`, shape (R, classes): what a proposal of unknown
        class is not; false for proposals of known class.
    """
    if len(uncertain):
        rows = Instances(sampled.image_size)
        rows.proposal_boxes = uncertain.proposal_boxes
        rows.objectness_logits = uncertain.objectness_logits
        rows.gt_classes = sampled.gt_classes.new_full((len(uncertain),), ignore)
        if sampled.has("gt_boxes"):
            # A placeholder: nothing is known that the box could be moved to.
            rows.gt_boxes = uncertain.proposal_boxes
        if sampled.has("gt_mined"):
            rows.gt_mined = sampled.gt_mined.new_zeros(len(uncertain))
        sampled = Instances.cat([sampled, rows])
    is_complete = torch.zeros(classes, dtype=torch.bool, device=complete.device)
    is_complete[complete] = True
    sampled.not_classes = (sampled.gt_classes == ignore)[:, None] & is_complete
    return sampled


def none_of_loss(logits: Tensor, not_classes: Tensor, *, sigmoid: bool) -> Tensor:
    """Return, shape (R,), -log(1 - p) of the probability p of the classes that each row is not.

    Args:
        logits: shape (R, classes + 1), background last.
        not_classes: shape (R, classes), at least one true in each row.
        sigmoid: whether the classes are independent of each other, as with
            MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE, instead of a softmax.
    """
    logits = logits.float()
    if sigmoid:
        losses: Tensor = F.softplus(logits[:, :-1]).masked_fill(~not_classes, 0.0).sum(dim=1)
        return losses
    # p is the sigmoid of these classes' logit against that of all others, background among them.
    is_not = F.pad(not_classes, (0, 1), value=False)
    these = logits.masked_fill(~is_not, float("-inf")).logsumexp(dim=1)
    others = logits.masked_fill(is_not, float("-inf")).logsumexp(dim=1)
    return F.softplus(these - others)
