"""Mined labels: objects whose class is sure, to a model, and whose box is less exact than a label.

A model that learns boxes from its own ones repeats their faults, which their scores don't tell. So
the box head takes classes from mined labels, too, but boxes from people alone, as Liu et al.,
"Unbiased Teacher for Semi-Supervised Object Detection" (ICLR 2021), do with pseudo-labels. The RPN,
whose boxes are rough anyway, learns from both.
"""

import torch
from detectron2.structures import Instances
from torch import Tensor


def mined_rows(proposals: list[Instances]) -> Tensor:
    """Return, shape (R,), which of R sampled proposals lie on a mined label."""
    return torch.cat(
        [
            image.gt_mined
            if image.has("gt_mined")
            else torch.zeros_like(image.gt_classes, dtype=torch.bool)
            for image in proposals
        ]
    )
