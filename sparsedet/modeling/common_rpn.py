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
"""Of the positions: up to this share their own gradients cost less than a convolution's."""


@RPN_HEAD_REGISTRY.register()
class CommonRPNHead(StandardRPNHead):
    """detectron2's head, its hidden convolution a `CommonConv`; parameters keep their names."""

    def _get_rpn_conv(self, in_channels: int, out_channels: int) -> Conv2d:
        relu = nn.ReLU(inplace=True)
        return CommonConv(
            in_channels, out_channels, kernel_size=3, stride=1, padding=1, activation=relu
        )


class CommonConv(Conv2d):
    """A 3 x 3 convolution of both views' maps, which differs from its parent in this:

    - With maps of one view, they stand in both halves of the input. The convolution is linear: the
      sum of the weights for both halves gives the same at half the cost.
    - Its gradient is worked out only where that of its output is not zero. The RPN's loss looks at
      a small sample of anchors, and the common RPN is the widest convolution of all: four times the
      work of a usual RPN's.
    """

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
        # With autocast they are of a shorter type, as in the forward pass.
        short_x, short_weight = x.to(gradient.dtype), weight.to(gradient.dtype)
        images, rows, columns = torch.nonzero((gradient != 0).any(dim=1), as_tuple=True)
        if len(images) > _FEW * gradient[:, 0].numel():
            of_x, of_weight, of_bias = torch.ops.aten.convolution_backward(
                gradient,
                short_x,
                short_weight,
                bias_sizes=[len(weight)],
                stride=[1, 1],
                padding=[1, 1],
                dilation=[1, 1],
                transposed=False,
                output_padding=[0, 0],
                groups=1,
                output_mask=[True, True, True],
            )
        else:
            found = gradient.permute(0, 2, 3, 1)[images, rows, columns]
            of_x, of_weight = _sparse_gradients(
                found, (images, rows, columns), short_x, short_weight
            )
            of_bias = found.sum(dim=0)
        return of_x.to(x.dtype), of_weight.to(weight.dtype), of_bias.to(weight.dtype)


def _sparse_gradients(
    gradient: Tensor, positions: tuple[Tensor, Tensor, Tensor], x: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients of a 3 x 3 convolution's input and weight.

    Args:
        gradient: of the output, shape (P, O), where it is not zero.
        positions: image, row and column of each, shape (P,).
        x: the input, shape (N, C, H, W).
        weight: shape (O, C, 3, 3).
    """
    images, rows, columns = positions
    padded = F.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    count, height, width, channels = padded.shape
    corners = (images * height + rows) * width + columns
    steps = torch.arange(3, device=x.device)
    around = corners[:, None] + (steps[:, None] * width + steps).flatten()
    patches = padded.reshape(-1, channels)[around].flatten(1)
    of_weight = (gradient.T @ patches).view(-1, 3, 3, channels).permute(0, 3, 1, 2)
    of_patches = gradient @ weight.permute(0, 2, 3, 1).flatten(1)
    of_padded = x.new_zeros(count * height * width, channels)
    of_padded.index_put_((around,), of_patches.view(-1, 9, channels), accumulate=True)
    of_x = of_padded.view(padded.shape)[:, 1:-1, 1:-1].permute(0, 3, 1, 2)
    return of_x, of_weight
