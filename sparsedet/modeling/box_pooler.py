"""detectron2's pooling of box features, to the last bit, in less time on a CPU.

torchvision's gradient of RoIAlign, K. He et al., "Mask R-CNN" (ICCV 2017), uses one thread there.
It was an eighth of a training step.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from threading import Barrier
from typing import Any

import torch
import torchvision
from detectron2.layers import ROIAlign
from detectron2.modeling.poolers import (
    ROIPooler,
    assign_boxes_to_levels,
    convert_boxes_to_pooler_format,
)
from detectron2.structures import Boxes
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class BoxPooler(ROIPooler):
    """detectron2's pooler, with the gradient of RoIAlign calculated image by image in threads.

    Also, where all boxes are of one level, as in small images, the others are left alone.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.level_poolers = nn.ModuleList(map(_threaded, self.level_poolers))

    def forward(self, x: list[Tensor], box_lists: list[Boxes]) -> Tensor:
        """Pool boxes: XYXY, absolute pixels of the network's input.

        Args:
            x: a map of every level, shape (N, C, H, W).
            box_lists: per image.

        Returns:
            Shape (number of boxes, C, resolution, resolution).
        """
        if len(self.level_poolers) > 1 and sum(map(len, box_lists)):
            levels = assign_boxes_to_levels(
                box_lists,
                self.min_level,
                self.max_level,
                self.canonical_box_size,
                self.canonical_level,
            )
            first = int(levels[0])
            if bool((levels == first).all()):
                rois = convert_boxes_to_pooler_format(box_lists)
                of_one_level: Tensor = self.level_poolers[first](x[first], rois)
                return of_one_level
        pooled: Tensor = super().forward(x, box_lists)
        return pooled


class ThreadedROIAlign(ROIAlign):
    """detectron2's RoIAlign; on a CPU its gradient takes as many threads as torch may have."""

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
    def forward(ctx: Any, maps: Tensor, rois: Tensor, of: ROIAlign) -> Tensor:
        ctx.save_for_backward(rois)
        ctx.of, ctx.shape = of, maps.shape
        pooled: Tensor = torchvision.ops.roi_align(
            maps, rois, of.output_size, of.spatial_scale, of.sampling_ratio, of.aligned
        )
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (rois,) = ctx.saved_tensors
        exact = torch.promote_types(gradient.dtype, torch.float32)
        of_maps = _gradient(gradient.to(exact), rois.to(exact), ctx.of, ctx.shape)
        return of_maps.to(gradient.dtype), None, None


def _gradient(gradient: Tensor, rois: Tensor, of: ROIAlign, shape: Sequence[int]) -> Tensor:
    """Return the gradient of maps of `shape`, groups of images in threads of their own.

    The regions of an image add to its map in the order that they have: the number of threads
    changes nothing.
    """
    images, *of_an_image = shape
    count = min(torch.get_num_threads(), images)
    bounds = [images * number // count for number in range(count + 1)]
    edges = torch.tensor(bounds, dtype=rois.dtype)
    rows = torch.searchsorted(rois[:, 0].contiguous(), edges).tolist()

    def part(number: int) -> Tensor:
        first, end = bounds[number : number + 2]
        of_part = slice(*rows[number : number + 2])
        moved = rois[of_part] - rois.new_tensor([first, 0, 0, 0, 0])
        found: Tensor = torch.ops.torchvision._roi_align_backward(
            gradient[of_part],
            moved,
            of.spatial_scale,
            *of.output_size,
            end - first,
            *of_an_image,
            of.sampling_ratio,
            of.aligned,
        )
        return found

    others = [_threads(count - 1).submit(part, number) for number in range(1, count)]
    parts = [part(0), *(other.result() for other in others)]
    return torch.cat(parts) if others else parts[0]


@cache
def _threads(count: int) -> ThreadPoolExecutor:
    """Return threads that work alone.

    torch gives every thread helpers of its own. With more threads than cores OpenMP slows down all
    parallel loops of the process: the optimizer's step took 3 x as long.
    """
    usual = torch.get_num_threads()
    threads = ThreadPoolExecutor(count, "RoIAlign", initializer=_work_alone)
    all_there = Barrier(count)
    wait([threads.submit(all_there.wait) for _ in range(count)])
    # The threads' setting is also that of threads to come, which are none of theirs.
    torch.set_num_threads(usual)
    return threads


def _work_alone() -> None:
    # Asked for the first time, a thread takes over the usual number, and would do so later.
    torch.get_num_threads()
    torch.set_num_threads(1)


def _threaded(pooler: nn.Module) -> nn.Module:
    if type(pooler) is not ROIAlign:
        return pooler
    return ThreadedROIAlign(
        pooler.output_size, pooler.spatial_scale, pooler.sampling_ratio, pooler.aligned
    )
