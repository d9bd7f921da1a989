"""RoIAlign whose gradient is the product of a sparse matrix, on a CPU.

K. He et al., "Mask R-CNN" (ICCV 2017). Every bin of a region is a weighted sum of a few pixels, the
same in all channels. torchvision weighs them anew for each channel, and its gradient was an eighth
of a training step; here all channels of a pixel are one row of a matrix, and it takes a tenth of
that time. The terms of a sum come in torchvision's order, so that the result is the same to the
last bit, unless a bin has a number of samples that is no power of two.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torchvision
from detectron2.layers import ROIAlign
from detectron2.modeling.poolers import ROIPooler
from scipy.sparse import csc_array
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def use_sparse_gradients(pooler: ROIPooler) -> None:
    """Let a pooler calculate its gradient by sparse matrices, where it pools by RoIAlign.

    Where the number of samples depends on the region (a sampling ratio of 0) it stays as it is.
    """
    pooler.level_poolers = nn.ModuleList(map(_sparse, pooler.level_poolers))


def _sparse(pooler: Any) -> nn.Module:
    if type(pooler) is not ROIAlign or pooler.sampling_ratio <= 0:
        unchanged: nn.Module = pooler
        return unchanged
    return SparseROIAlign(
        pooler.output_size, pooler.spatial_scale, pooler.sampling_ratio, pooler.aligned
    )


class SparseROIAlign(ROIAlign):
    """detectron2's RoIAlign with a fixed number of samples; see above for its gradient."""

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
    samples = pooler.sampling_ratio
    boxes = rois[:, 1:] * pooler.spatial_scale - (0.5 if pooler.aligned else 0.0)
    sides = boxes[:, 2:] - boxes[:, :2]
    if not pooler.aligned:
        sides = sides.clamp(min=1.0)
    rows, of_rows = _linear(boxes[:, 1], sides[:, 1], pooler.output_size[0], samples, height)
    columns, of_columns = _linear(boxes[:, 0], sides[:, 0], pooler.output_size[1], samples, width)
    # Axes: region, bin's row and column, sample's row and column, pixel's row and column.
    rows, of_rows = (one[:, :, None, :, None, :, None] for one in (rows, of_rows))
    columns, of_columns = (one[:, None, :, None, :, None, :] for one in (columns, of_columns))
    first_rows = rois[:, 0].long().view(-1, *(1,) * 6) * height
    pixels = ((first_rows + rows) * width + columns).flatten()
    weights = (of_rows * of_columns).flatten() / samples**2
    entries = 4 * samples**2
    ends = torch.arange(0, len(pixels) + 1, entries)
    return csc_array(
        (weights.numpy(), pixels.numpy(), ends.numpy()),
        shape=(images * height * width, len(pixels) // entries),
    )


def _linear(
    start: Tensor, side: Tensor, bins: int, samples: int, limit: int
) -> tuple[Tensor, Tensor]:
    """Return the two pixels around every sample along an axis, and the weight of each.

    Args:
        start: where the regions begin, in pixels of the map, shape (R,).
        side: how long they are, shape (R,).
        bins: of a region.
        samples: of a bin.
        limit: pixels of the map.

    Returns:
        Both of shape (R, bins, samples, 2). A sample more than a pixel beyond the map has no
        weight.
    """
    size = (side / bins)[:, None, None]
    of_bins, of_samples = torch.arange(bins)[:, None], torch.arange(samples) + 0.5
    at = start[:, None, None] + of_bins * size + of_samples * size / samples
    outside = (at < -1.0) | (at > limit)
    at = at.clamp(min=0.0)
    low = at.long().clamp(0, limit - 1)
    high = (low + 1).clamp(max=limit - 1)
    beyond = torch.where(low == limit - 1, 0.0, at - low)
    weights = torch.stack([1.0 - beyond, beyond], dim=-1)
    return torch.stack([low, high], dim=-1), weights.masked_fill(outside[..., None], 0.0)
