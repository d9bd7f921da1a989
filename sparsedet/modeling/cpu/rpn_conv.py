"""The common RPN's convolution, with gradients computed only where they are nonzero.

The RPN's loss uses a small sample of anchors, and this convolution over both views' maps is four
times the work of an ordinary RPN's.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

_FEW = 0.25
"""Share of positions up to which sparse gradients are cheaper than dense ones (on two CPU cores,
128 channels: less than half the cost at 0.15, about the same or more at 0.4)."""

Positions = tuple[Tensor, Tensor, Tensor]
"""Image, row and column indices."""


def conv_with_sparse_gradients(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve like `sparsedet.modeling.rpn.convolve`.

    Args:
        x: shape (N, C, H, W).
        weight: shape (O, C, 3, 3).
        bias: shape (O,).
    """
    maps: Tensor = _Conv.apply(x, weight, bias)
    return maps


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, padding=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        images, rows, columns = torch.nonzero((gradient != 0).any(dim=1), as_tuple=True)
        if len(images) > _FEW * gradient[:, 0].numel():
            found = _dense_gradients(gradient, x, weight)
        else:
            found = _sparse_gradients(gradient, (images, rows, columns), x, weight)
        of_x, of_weight, of_bias = found
        return of_x.to(x.dtype), of_weight.to(weight.dtype), of_bias.to(weight.dtype)


def _dense_gradients(gradient: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of a 3 x 3 convolution's input, weight and bias.

    Args:
        gradient: the output's gradient, shape (N, O, H, W).
        x: the input, shape (N, C, H, W).
        weight: shape (O, C, 3, 3).
    """
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient,
        # Under autocast the gradient has lower precision, like the forward pass.
        x.to(gradient.dtype),
        weight.to(gradient.dtype),
        bias_sizes=[len(weight)],
        stride=[1, 1],
        padding=[1, 1],
        dilation=[1, 1],
        transposed=False,
        output_padding=[0, 0],
        groups=1,
        output_mask=[True, True, True],
    )
    return found


def _sparse_gradients(
    gradient: Tensor, positions: Positions, x: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute `_dense_gradients` at a few positions.

    Args:
        gradient: the output's gradient, shape (N, O, H, W).
        positions: all nonzero positions, each of shape (P,).
        x: the input, shape (N, C, H, W).
        weight: shape (O, C, 3, 3).
    """
    # Lower-precision sums would lose more than a convolution's, which accumulate in float32.
    exact = torch.promote_types(gradient.dtype, torch.float32)
    images, rows, columns = positions
    found = gradient.permute(0, 2, 3, 1)[positions].to(exact)
    padded = F.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    count, height, width, channels = padded.shape
    corners = (images * height + rows) * width + columns
    steps = torch.arange(3, device=x.device)
    around = (corners[:, None] + (steps[:, None] * width + steps).flatten()).flatten()
    patches = padded.reshape(-1, channels)[around].to(exact).view(-1, 9 * channels)
    of_weight = (found.T @ patches).view(-1, 3, 3, channels).permute(0, 3, 1, 2)
    of_patches = found @ weight.permute(0, 2, 3, 1).flatten(1).to(exact)
    of_padded = torch.zeros(count * height * width, channels, dtype=exact, device=x.device)
    # One by one on a CPU: `index_put_` would accumulate in parallel, in no fixed order.
    of_padded.index_add_(0, around, of_patches.view(-1, channels))
    of_x = of_padded.view(padded.shape)[:, 1:-1, 1:-1].permute(0, 3, 1, 2)
    return of_x, of_weight, found.sum(dim=0)
