"""Soft-NMS: a detection that overlaps a surer one of its class loses score, not its place.

Bodla, Singh, Chellappa and Davis, "Soft-NMS: Improving Object Detection With One Line of Code"
(ICCV 2017), with the Gaussian decay. NMS drops the second of two objects that stand close together;
here it stays, at a lower score.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_iou


class Decayed(NamedTuple):
    """What soft-NMS leaves, in descending order of score."""

    rows: Tensor
    """Shape (D,): which of the boxes given."""
    scores: Tensor
    """Shape (D,): decayed."""


def soft_nms(
    boxes: Tensor, scores: Tensor, classes: Tensor, *, sigma: float, least: float, most: int
) -> Decayed:
    """Decay the scores of boxes by exp(-IoU² / sigma) with every surer box of their class.

    The surest box is taken, the others decay, and so on. As scores only fall, what is taken first
    is what is surest in the end. The same input gives the same output: of equal scores the first
    box is taken.

    Args:
        boxes: shape (N, 4), XYXY.
        scores: shape (N,).
        classes: shape (N,).
        sigma: the larger, the less scores fall; the paper has 0.5.
        least: boxes whose score falls to this or below are dropped.
        most: boxes that are kept at most.
    """
    left = scores.clone()
    taken, final = [], []
    for _ in range(min(most, len(boxes))):
        # No value leaves the device: a GPU is not waited for.
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
