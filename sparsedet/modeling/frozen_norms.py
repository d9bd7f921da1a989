"""Frozen batch norms: folded into the preceding convolution, or kept as scale and shift.

A detector's batches are too small for batch statistics. Other norms (layer, group) need none and
are trained.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class FrozenNormConv(nn.Module):
    """A convolution with the following frozen batch norm folded in: conv(x, w * scale, b).

    The weights keep the convolution's own scale, so that they train as with a separate frozen norm,
    without its memory traffic.
    """

    scale: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv2d, norm: _BatchNorm) -> None:
        super().__init__()
        self.stride, self.padding = conv.stride, conv.padding
        self.dilation, self.groups = conv.dilation, conv.groups
        self.weight = conv.weight
        scale, shift = _scale_and_shift(norm)
        self.register_buffer("scale", scale.view(-1, 1, 1, 1))
        self.register_buffer("bias", shift)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, scale and shift; shapes as `torch.nn.Conv2d`."""
        return nn.functional.conv2d(
            x,
            self.weight * self.scale,
            self.bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
        )


class FrozenNorm(nn.Module):
    """A frozen batch norm that is not folded, with the activation that timm's norms include."""

    scale: Tensor
    bias: Tensor

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        scale, shift = _scale_and_shift(norm)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", shift)
        self.act = _activation(norm)

    def forward(self, x: Tensor) -> Tensor:
        """Scale and shift the channels, which are x's second axis, and activate."""
        shape = (1, -1, *(1,) * (x.ndim - 2))
        activated: Tensor = self.act(x * self.scale.view(shape) + self.bias.view(shape))
        return activated


def fold_frozen_norms(module: nn.Module) -> None:
    """Freeze every batch norm; fold it where it directly follows a convolution.

    Load weights before folding: the parameter names of a folded norm disappear.
    """
    children: list[tuple[str, Any]] = list(module.named_children())
    for (name, child), (next_name, following) in pairwise(children):
        if _is_folded(child, following):
            setattr(module, name, FrozenNormConv(child, following))
            setattr(module, next_name, _activation(following))
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm):
            setattr(module, name, FrozenNorm(child))
        else:
            fold_frozen_norms(child)


def _is_folded(conv: nn.Module, norm: nn.Module) -> bool:
    """Return whether `norm` can be folded into `conv`.

    Excludes convolutions with a padding or scaling of their own, and those with a bias, which is
    trained.
    """
    return (
        type(conv) is nn.Conv2d
        and isinstance(norm, nn.BatchNorm2d)
        and conv.bias is None
        and conv.padding_mode == "zeros"
        and conv.out_channels == norm.num_features
    )


def _scale_and_shift(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.affine:
        scale = norm.weight.detach() * scale
        return scale, norm.bias.detach() - norm.running_mean * scale
    return scale, -norm.running_mean * scale


def _activation(norm: nn.Module) -> nn.Module:
    activation: nn.Module = getattr(norm, "act", nn.Identity())
    return activation
