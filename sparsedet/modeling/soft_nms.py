"""Soft-NMS: a detection that overlaps a more certain one of its class loses score, not its place.

Bodla, Singh, Chellappa and Davis, "Soft-NMS: Improving Object Detection With One Line of Code"
(ICCV 2017), with Gaussian decay. NMS drops the second of two objects that are close together; here
it is kept with a lower score.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_iou


class Decayed(NamedTuple):
    """The result of soft-NMS, in descending order of score."""

    rows: Tensor
    """Shape (D,): indices of the kept boxes."""
    scores: Tensor
    """Shape (D,): decayed scores."""


def soft_nms(
    boxes: Tensor, scores: Tensor, classes: Tensor, *, sigma: float, least: float, most: int
) -> Decayed:
    """Decay the scores of boxes by exp(-IoU² / sigma) with every more certain box of their class.

    The most certain box is taken, the others decay, and so on. As scores only fall, boxes are taken
    in the final order. The result is deterministic: among equal scores, the first box is taken.

    Args:
        boxes: shape (N, 4), XYXY.
        scores: shape (N,).
        classes: shape (N,).
        sigma: larger values decay less; 0.5 in the paper.
        least: boxes at or below this score are dropped.
        most: maximum number of boxes to keep.
    """
    left = scores.clone()
    taken, final = [], []
    for _ in range(min(most, len(boxes))):
        # No value leaves the device, so that a GPU is never waited for.
        best = left.argmax(keepdim=True)
        taken.append(best)
        final.append(left[best])
        overlap = box_iou(boxes[best], boxes)[0]
        decay = torch.exp(-overlap.square() / sigma)
        left = torch.where(classes == classes[best], left * decay, left)
        left[best] = -1.0
    if not taken:
        return Decayed(classes.new_zeros(0), scores)
    rows, decayed = torch.cat(taken), torch.cat(final)
    stays = decayed > least
    return Decayed(rows[stays], decayed[stays])
