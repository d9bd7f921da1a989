"""The head of SparseDet's common RPN: two views in training, one of them twice in inference."""

from typing import Any

import torch
import torch.nn.functional as F
from detectron2.layers import Conv2d
from detectron2.modeling.proposal_generator import RPN_HEAD_REGISTRY
from detectron2.modeling.proposal_generator.rpn import StandardRPNHead
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_FEW = 0.25
"""Up to this share of the positions the sparse gradients cost less than the dense ones (on two CPU
cores, 128 channels: less than half as much at 0.15, as much or more at 0.4)."""

Positions = tuple[Tensor, Tensor, Tensor]
"""The image, row and column of each."""


@RPN_HEAD_REGISTRY.register()
class CommonRPNHead(StandardRPNHead):
    """detectron2's head, its hidden convolution a `CommonConv`; parameters keep their names."""

    def _get_rpn_conv(self, in_channels: int, out_channels: int) -> Conv2d:
        return CommonConv(in_channels, out_channels)


class CommonConv(Conv2d):
    """A 3 x 3 convolution of both views' maps, which differs from its parent in this:

    - Maps of one view stand in both halves of the input. The convolution is linear: the sum of the
      weights for both halves gives the same at half the cost.
    - Where the gradient of its output is zero almost everywhere, its own is worked out only at the
      other positions. The RPN's loss looks at a small sample of anchors, and this convolution is
      four times the work of a usual RPN's.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size=3, padding=1, activation=nn.ReLU(inplace=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated maps, shape (N, out_channels, H, W).

        Args:
            x: shape (N, in_channels, H, W), or (N, in_channels / 2, H, W) of one view.
        """
        weight = self.weight
        if x.shape[1] * 2 == self.in_channels:
            first, second = weight.chunk(2, dim=1)
            weight = first + second
        maps: Tensor = self.activation(_Conv.apply(x, weight, self.bias))
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
        gradient: of the output, shape (N, O, H, W).
        x: the input, shape (N, C, H, W).
        weight: shape (O, C, 3, 3).
    """
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient,
        # With autocast the gradient is of a shorter type, as the forward pass was.
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
    """Return the same as `_dense_gradients`, at the cost of few positions.

    Args:
        gradient: of the output, shape (N, O, H, W).
        positions: all those where it is not zero, each of shape (P,).
        x: the input, shape (N, C, H, W).
        weight: shape (O, C, 3, 3).
    """
    # Sums of a shorter type would lose more than a convolution's, which are kept in float32.
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
    # On a CPU one after the other: `index_put_` would add in parallel, in no fixed order.
    of_padded.index_add_(0, around, of_patches.view(-1, channels))
    of_x = of_padded.view(padded.shape)[:, 1:-1, 1:-1].permute(0, 3, 1, 2)
    return of_x, of_weight, found.sum(dim=0)
