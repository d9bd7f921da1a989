"""RoIAlign whose gradient takes all threads of a CPU.

K. He et al., "Mask R-CNN" (ICCV 2017). torchvision calculates the gradient on a CPU with one
thread, which was an eighth of a training step. Features and gradients are torchvision's, to the
last bit.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from threading import Barrier
from typing import Any

import torch
import torchvision
from detectron2.layers import ROIAlign
from detectron2.modeling.poolers import ROIPooler
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def use_threads(pooler: ROIPooler) -> None:
    """Let a pooler calculate its gradient in threads, where it pools by RoIAlign."""
    pooler.level_poolers = nn.ModuleList(map(_threaded, pooler.level_poolers))


def _threaded(pooler: nn.Module) -> nn.Module:
    if type(pooler) is not ROIAlign:
        return pooler
    return ThreadedROIAlign(
        pooler.output_size, pooler.spatial_scale, pooler.sampling_ratio, pooler.aligned
    )


class ThreadedROIAlign(ROIAlign):
    """detectron2's RoIAlign; on a CPU groups of images have their gradient calculated at once."""

    def forward(self, maps: Tensor, rois: Tensor) -> Tensor:
        """Return the regions' features, shape (R, C, height, width).

        Args:
            maps: shape (N, C, H, W).
            rois: shape (R, 5): the image's index and XYXY, absolute pixels of the network's input;
                images in ascending order.
        """
        if maps.device.type == "cpu" and maps.requires_grad:
            threaded: Tensor = _ROIAlign.apply(maps, rois.to(maps.dtype), self)
            return threaded
        pooled: Tensor = super().forward(maps, rois)
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
        of_maps = _gradient(gradient.to(exact), rois.to(exact), ctx.pooler, ctx.shape)
        return of_maps.to(gradient.dtype), None, None


def _gradient(gradient: Tensor, rois: Tensor, pooler: ROIAlign, shape: Sequence[int]) -> Tensor:
    """Return the gradient of the maps, groups of images in threads of their own.

    The regions of an image add to its map in the order that they have: the number of threads
    changes nothing.

    Args:
        gradient: of the regions' features, shape (R, C, height, width).
        rois: shape (R, 5): the image's index and XYXY; images in ascending order.
        pooler: what pooled them.
        shape: of the maps: (N, C, H, W).
    """
    images, *of_an_image = shape
    groups = min(torch.get_num_threads(), images)
    bounds = [images * number // groups for number in range(groups + 1)]
    edges = torch.tensor(bounds, dtype=rois.dtype)
    rows = torch.searchsorted(rois[:, 0].contiguous(), edges).tolist()

    def group(number: int) -> Tensor:
        first, end = bounds[number : number + 2]
        own = slice(*rows[number : number + 2])
        found: Tensor = torch.ops.torchvision._roi_align_backward(
            gradient[own],
            rois[own] - rois.new_tensor([first, 0, 0, 0, 0]),
            pooler.spatial_scale,
            *pooler.output_size,
            end - first,
            *of_an_image,
            pooler.sampling_ratio,
            pooler.aligned,
        )
        return found

    if groups == 1:
        return group(0)
    threads = _threads(torch.get_num_threads() - 1)
    others = [threads.submit(group, number) for number in range(1, groups)]
    return torch.cat([group(0), *(other.result() for other in others)])


@cache
def _threads(count: int) -> ThreadPoolExecutor:
    """Return threads that work alone.

    torch gives every thread helpers of its own. With more threads than cores OpenMP slows down all
    parallel loops of the process: the optimizer's step took 3 x as long.
    """
    usual = torch.get_num_threads()
    threads = ThreadPoolExecutor(count, "RoIAlign", initializer=_work_alone)
    all_there = Barrier(count)
    try:
        # Only threads that wait for each other are all started.
        wait([threads.submit(all_there.wait) for _ in range(count)])
    except BaseException:
        all_there.abort()
        raise
    finally:
        # What a thread sets is also where threads to come begin.
        torch.set_num_threads(usual)
    return threads


def _work_alone() -> None:
    # torch sets a thread's number when it is first asked for it, which would undo this.
    torch.get_num_threads()
    torch.set_num_threads(1)


# A forked process inherits the pool, but not its threads.
os.register_at_fork(after_in_child=_threads.cache_clear)
