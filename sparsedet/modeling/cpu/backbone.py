"""A timm backbone with less memory traffic on a CPU.

The first stages of a network have the largest maps, and are the frozen ones. The maps of a whole
batch don't stay in the processor's caches until the next layer reads them. So frozen stages run on
two images at a time, with the same result up to rounding: without gradients only the last map has
to be kept. `end-to-end`, whose two views give the largest batch, gains most.
"""

from collections import OrderedDict
from typing import Any

import torch
import torch.nn.functional as F
from timm.models import FeatureHookNet
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_IMAGES = 2
"""Images per part of the batch."""


class InParts(nn.Sequential):
    """A frozen sequence of modules, each of which treats the images of a batch independently."""

    def forward(self, x: Tensor) -> Tensor:
        """Run a batch, shape (N, ...), through the sequence."""
        if x.device.type != "cpu" or len(x) <= _IMAGES:
            return self._run(x)
        parts = range(0, len(x), _IMAGES)
        return torch.cat([self._run(x[start : start + _IMAGES]) for start in parts])

    def _run(self, x: Tensor) -> Tensor:
        for module in self:
            x = module(x)
        return x


def run_frozen_in_parts(module: nn.Module) -> None:
    """Run the outermost fully frozen sequences below `module` in parts.

    Models whose feature maps are read by hooks are unchanged: a hook would see the last part only.
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


class InPlaceReLU6(nn.Module):
    """Bit-identical to `torch.nn.ReLU6(inplace=True)`, with half of its memory in training.

    torch keeps a copy of the input for the backward pass. But the gradient passes where the input
    is between 0 and 6, which can be read off the output.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return x, any shape, clamped to 0..6; modifies x in place."""
        clamped: Tensor = _ReLU6.apply(x)
        return clamped


def use_in_place_relu6(module: nn.Module) -> None:
    """Replace every `torch.nn.ReLU6(inplace=True)` below `module`."""
    for name, child in module.named_children():
        if type(child) is nn.ReLU6 and child.inplace:
            setattr(module, name, InPlaceReLU6())
        else:
            use_in_place_relu6(child)


class _ReLU6(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        clamped = F.hardtanh_(x, 0.0, 6.0)
        ctx.mark_dirty(x)
        ctx.save_for_backward(clamped)
        return clamped

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (clamped,) = ctx.saved_tensors
        passed: Tensor = torch.ops.aten.hardtanh_backward(gradient, clamped, 0.0, 6.0)
        return passed
