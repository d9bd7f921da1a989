"""RoIAlign whose gradient is a sparse matrix product on a CPU.

K. He et al., "Mask R-CNN" (ICCV 2017). Each bin of a region is a weighted sum of a few pixels, the
same in all channels. torchvision recomputes the weights for every channel, and its gradient took an
eighth of a training step; here all channels of a pixel are one row of a matrix, which takes a tenth
of that time. Sums are in torchvision's order: on x86-64 the result is bit-identical, unless a bin's
number of samples is not a power of two.
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
    """Switch a pooler to sparse-matrix gradients, if it uses RoIAlign."""
    pooler.level_poolers = nn.ModuleList(map(_sparse, pooler.level_poolers))


def _sparse(pooler: Any) -> nn.Module:
    if type(pooler) is not ROIAlign:
        unchanged: nn.Module = pooler
        return unchanged
    return SparseROIAlign(
        pooler.output_size, pooler.spatial_scale, pooler.sampling_ratio, pooler.aligned
    )


class SparseROIAlign(ROIAlign):
    """detectron2's RoIAlign; on a CPU its gradient is a sparse matrix product."""

    def forward(self, maps: Tensor, rois: Tensor) -> Tensor:
        """Return the regions' features, shape (R, C, height, width).

        Args:
            maps: shape (N, C, H, W).
            rois: shape (R, 5): image index and XYXY, absolute pixels of the network's input.
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
        # Under autocast torchvision pools in float32, and so does this.
        exact = torch.promote_types(gradient.dtype, torch.float32)
        weights = _weights(rois.to(exact), ctx.pooler, ctx.shape)
        rows = gradient.to(exact).permute(0, 2, 3, 1).reshape(-1, ctx.shape[1])
        count, channels, height, width = ctx.shape
        of_maps = torch.from_numpy(weights @ rows.numpy()).view(count, height, width, channels)
        return of_maps.permute(0, 3, 1, 2).to(gradient.dtype), None, None


def _weights(rois: Tensor, pooler: ROIAlign, shape: Sequence[int]) -> csc_array:
    """Return the weight of every map pixel in every bin of the regions.

    Args:
        rois: shape (R, 5): image index and XYXY.
        pooler: the pooler.
        shape: of the maps: (N, C, H, W).

    Returns:
        Shape (N * H * W, R * height * width); entries of a column are in sample order, four pixels
        each.
    """
    images, _, height, width = shape
    bins = torch.tensor(pooler.output_size)
    offset = 0.5 if pooler.aligned else 0.0
    # In (row, column) pairs, the row comes first.
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
    """Enumerate the samples of all regions: by row of bins, then by row of samples in each bin.

    Args:
        bins: rows and columns of bins per region, shape (2,).
        samples: rows and columns of samples per bin of each region, shape (R, 2).

    Returns:
        The region of each sample, shape (S,), and the row and column of its bin, and its own in the
        bin, shape (S, 2).
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
    """Return the two neighbouring pixels of axis positions, and their weights, both shape (S, 2).

    Args:
        at: the positions, shape (S,); more than a pixel outside of the axis they have no weight.
        limit: number of pixels on the axis.
    """
    outside = (at < -1.0) | (at > limit)
    at = at.clamp(min=0.0)
    low = at.long().clamp(0, limit - 1)
    high = (low + 1).clamp(max=limit - 1)
    beyond = torch.where(low == limit - 1, 0.0, at - low)
    weights = torch.stack([1.0 - beyond, beyond], dim=1)
    return torch.stack([low, high], dim=1), weights.masked_fill(outside[:, None], 0.0)
