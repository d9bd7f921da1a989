"""RoIAlign whose gradient is the product of a sparse matrix, on a CPU.

K. He et al., "Mask R-CNN" (ICCV 2017). Every bin of a region is a weighted sum of a few pixels, the
same in all channels. torchvision calculates the weights of every channel again, and its gradient
was an eighth of a training step; here all channels of a pixel are one row of a matrix, and it takes
a tenth of that time. The terms of a sum come in torchvision's order: on x86-64 the result is the
same to the last bit, unless a bin has a number of samples that is no power of two.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from detectron2.layers import ROIAlign
from detectron2.modeling.poolers import ROIPooler
from scipy.sparse import csc_array
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def use_sparse_roi_align(pooler: ROIPooler) -> None:
    """Let a pooler calculate its gradient by sparse matrices, where it pools by RoIAlign."""
    pooler.level_poolers = nn.ModuleList(map(_sparse, pooler.level_poolers))


def _sparse(pooler: Any) -> nn.Module:
    if type(pooler) is not ROIAlign:
        unchanged: nn.Module = pooler
        return unchanged
    return SparseROIAlign(
        pooler.output_size, pooler.spatial_scale, pooler.sampling_ratio, pooler.aligned
    )


class SparseROIAlign(ROIAlign):
    """detectron2's RoIAlign; on a CPU its gradient is the product of a sparse matrix."""

    def forward(self, maps: Tensor, rois: Tensor) -> Tensor:
        """Return the regions' features, shape (R, C, height, width).

        Args:
            maps: shape (N, C, H, W).
            rois: shape (R, 5): the image's index and XYXY, absolute pixels of the network's input.
        """
        pooled: Tensor
        if maps.device.type == "cpu" and maps.requires_grad:
            pooled = _ROIAlign.apply(maps, rois.to(maps.dtype), self)
        else:
            pooled = super().forward(maps, rois)
        return pooled


class _ROIAlign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, rois: Tensor, pooler: ROIAlign) -> Tensor:
        ctx.save_for_backward(rois)
        ctx.pooler, ctx.shape = pooler, maps.shape
        pooled: Tensor = torchvision.ops.roi_align(
            maps,
            rois,
            pooler.output_size,
            pooler.spatial_scale,
            pooler.sampling_ratio,
            pooler.aligned,
        )
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (rois,) = ctx.saved_tensors
        # With autocast torchvision pools in float32, and so it does here.
        exact = torch.promote_types(gradient.dtype, torch.float32)
        weights = _weights(rois.to(exact), ctx.pooler, ctx.shape)
        rows = gradient.to(exact).permute(0, 2, 3, 1).reshape(-1, ctx.shape[1])
        count, channels, height, width = ctx.shape
        of_maps = torch.from_numpy(weights @ rows.numpy()).view(count, height, width, channels)
        return of_maps.permute(0, 3, 1, 2).to(gradient.dtype), None, None


def _weights(rois: Tensor, pooler: ROIAlign, shape: Sequence[int]) -> csc_array:
    """Return how much every pixel of the maps counts in every bin of the regions.

    Args:
        rois: shape (R, 5): the image's index and XYXY.
        pooler: what pools them.
        shape: of the maps: (N, C, H, W).

    Returns:
        Shape (N * H * W, R * height * width); the entries of a column in the order of the samples,
        four pixels of each.
    """
    images, _, height, width = shape
    bins = torch.tensor(pooler.output_size)
    offset = 0.5 if pooler.aligned else 0.0
    # Of all that has a row and a column, the row is first.
    start = rois[:, [2, 1]] * pooler.spatial_scale - offset
    side = rois[:, [4, 3]] * pooler.spatial_scale - offset - start
    size = (side if pooler.aligned else side.clamp(min=1.0)) / bins
    if pooler.sampling_ratio > 0:
        samples = torch.full_like(size, pooler.sampling_ratio, dtype=torch.int64)
    else:
        samples = size.ceil().long().clamp(min=0)
    region, of_bin, of_sample = _all_samples(bins, samples)
    at = start[region] + of_bin * size[region] + (of_sample + 0.5) * size[region] / samples[region]
    rows, of_rows = _around(at[:, 0], height)
    columns, of_columns = _around(at[:, 1], width)
    first_row = (rois[region, 0].long() * height)[:, None]
    pixels = (first_row + rows)[:, :, None] * width + columns[:, None, :]
    in_a_bin = samples.prod(dim=1)
    weights = of_rows[:, :, None] * of_columns[:, None, :] / in_a_bin[region, None, None]
    ends = (4 * in_a_bin).repeat_interleave(int(bins.prod())).cumsum(0)
    return csc_array(
        (weights.flatten().numpy(), pixels.flatten().numpy(), F.pad(ends, (1, 0)).numpy()),
        shape=(images * height * width, len(ends)),
    )


def _all_samples(bins: Tensor, samples: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Number the samples of all regions: row after row of bins, and of samples in each bin.

    Args:
        bins: rows and columns of bins in a region, shape (2,).
        samples: rows and columns of samples in each bin of a region, shape (R, 2).

    Returns:
        Of each sample the region, shape (S,), and the row and column of its bin and of itself in
        the bin, shape (S, 2).
    """
    of_region = samples.prod(dim=1) * bins.prod()
    region = torch.arange(len(samples)).repeat_interleave(of_region)
    number = torch.arange(len(region)) - (of_region.cumsum(0) - of_region)[region]
    rows, columns = samples[region].unbind(1)
    number, column = number // columns, number % columns
    number, row = number // rows, number % rows
    of_bin = torch.stack([number // bins[1], number % bins[1]], dim=1)
    return region, of_bin, torch.stack([row, column], dim=1)


def _around(at: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """Return the two pixels around places on an axis, and the weight of each, both shape (S, 2).

    Args:
        at: the places, shape (S,); more than a pixel beyond the axis they have no weight.
        limit: pixels of the axis.
    """
    outside = (at < -1.0) | (at > limit)
    at = at.clamp(min=0.0)
    low = at.long().clamp(0, limit - 1)
    high = (low + 1).clamp(max=limit - 1)
    beyond = torch.where(low == limit - 1, 0.0, at - low)
    weights = torch.stack([1.0 - beyond, beyond], dim=1)
    return torch.stack([low, high], dim=1), weights.masked_fill(outside[:, None], 0.0)
