"""Frozen stages that take a batch in parts, on a CPU.

The first stages of a network have the largest maps and are the ones that are frozen. The maps of a
whole batch leave the processor's caches before the next layer reads them. Without gradients nothing
but the stage's result has to be kept, and two images after the other give the same, up to rounding
at most. `end-to-end`, whose two views make the largest batch, gains most.
"""

from collections import OrderedDict

import torch
from timm.models import FeatureHookNet
from torch import Tensor, nn

_IMAGES = 2
"""In a part."""


class InParts(nn.Sequential):
    """A frozen sequence of modules, each of which treats every image of a batch alone."""

    def forward(self, x: Tensor) -> Tensor:
        """Return what the sequence makes of a batch, shape (N, ...)."""
        if x.device.type != "cpu" or len(x) <= _IMAGES:
            return self._run(x)
        parts = range(0, len(x), _IMAGES)
        return torch.cat([self._run(x[start : start + _IMAGES]) for start in parts])

    def _run(self, x: Tensor) -> Tensor:
        for module in self:
            x = module(x)
        return x


def run_frozen_in_parts(module: nn.Module) -> None:
    """Let the outermost sequences below `module` that are frozen as a whole run in parts.

    Models whose feature maps are read by hooks stay as they are: a hook would see the last part.
    """
    if isinstance(module, FeatureHookNet):
        return
    for name, child in module.named_children():
        parameters = list(child.parameters())
        frozen = parameters and not any(parameter.requires_grad for parameter in parameters)
        if frozen and type(child) is nn.Sequential:
            setattr(module, name, InParts(OrderedDict(child.named_children())))
        else:
            run_frozen_in_parts(child)
