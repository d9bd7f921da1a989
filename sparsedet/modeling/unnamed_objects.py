"""Objects of unknown class: that something is there is sure, what it is, is not.

A wrong name would teach a wrong class, and background would punish an object. So such a box is an
object to the RPN, and to the box head "one of the classes": its loss is -log of their sum, the
likelihood of a label of which only a set of candidates is known (Cour, Sapp, Taskar, "Learning from
partial labels", JMLR 2011).
"""

import torch
from detectron2.structures import Boxes, Instances
from torch import Tensor

from sparsedet.modeling.certain_negatives import not_class_loss
from sparsedet.modeling.targets import Targets

ANY_CLASS = -2
"""As `gt_classes` of a sampled proposal: it shows an object, of which class nobody knows."""


def labels_and_objects(targets: Targets, unnamed: int) -> Instances:
    """Return an image's labels, and behind them its objects of unknown class, as class `unnamed`.

    Returns:
        With `gt_boxes` and `gt_classes`.
    """
    labels, objects = targets.labels, targets.objects
    if len(objects) == 0:
        return labels
    rows = Instances(labels.image_size)
    rows.gt_boxes = Boxes.cat([labels.gt_boxes, objects])
    unknown = labels.gt_classes.new_full((len(objects),), unnamed)
    rows.gt_classes = torch.cat([labels.gt_classes, unknown])
    rows.gt_mined = torch.cat([labels.gt_mined, torch.ones_like(unknown, dtype=torch.bool)])
    return rows


def object_loss(logits: Tensor, *, sigmoid: bool) -> Tensor:
    """Return, shape (R,), -log of the probability of an object, of whatever class.

    Args:
        logits: shape (R, classes + 1), background last.
        sigmoid: whether the classes are independent of each other, as with
            MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE, instead of a softmax.
    """
    logits = logits.float()
    if sigmoid:
        # No object: none of the independent classes is there.
        log_none = -torch.nn.functional.softplus(logits[:, :-1]).sum(dim=1)
        log_none = log_none.clamp(max=-torch.finfo(log_none.dtype).tiny)
        return -torch.log(-torch.expm1(log_none))
    background = logits.new_full((len(logits),), logits.shape[1] - 1, dtype=torch.int64)
    return not_class_loss(logits, background, sigmoid=False)
