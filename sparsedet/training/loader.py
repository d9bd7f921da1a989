"""Batches for every iteration, each reproducible from the seed and the iteration alone.

So training resumed at any iteration sees exactly what an uninterrupted run would have seen,
whatever the number of loader processes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.structures import Boxes, Instances
from torch.utils.data import DataLoader, Dataset

from sparsedet.annotations import read_image
from sparsedet.errors import SparseDetError
from sparsedet.modeling.inputs import UInt8Image, network_size, resize, to_tensor
from sparsedet.modeling.targets import Role
from sparsedet.resources import choose_workers
from sparsedet.training.samples import TrainingImage
from sparsedet.training.views import augmented_view, augmented_view_rule
from sparsedet.training.zoom import clip, zoom, zoom_rule

Batch = list[dict[str, Any]]

_ORDER_STREAM, _AUGMENTATION_STREAM = 0, 1


def batches(
    images: Sequence[TrainingImage],
    cfg: CfgNode,
    *,
    seed: int,
    start: int,
    end: int,
    zoomed: bool = False,
) -> Iterator[Batch]:
    """Yield the batches of iterations `start` to `end` - 1.

    Every input has `image`, `instances` (with `gt_roles` where more than labels is known) and
    `image_id`; for `end-to-end` also `image_augmented`. With `zoomed`, some of the images are seen
    from nearer or farther.

    Raises:
        AnnotationError: naming an image that can't be decoded.
    """
    cache: int = cfg.DATALOADER.CACHE_MIB * 2**20
    workers: int = cfg.DATALOADER.NUM_WORKERS
    if workers < 0:
        workers = choose_workers(_cached_bytes(images, cfg), cache, device=cfg.MODEL.DEVICE)
    if workers:
        # Processes for threads. Also, OpenCV's threads are lost in a forked process, which then
        # waits for them without end: there must be none before.
        cv2.setNumThreads(1)
    loader: DataLoader[Batch | SparseDetError] = DataLoader(
        _Batches(images, cfg, seed, cache // max(1, workers), zoomed=zoomed),
        batch_size=None,
        sampler=range(start, end),
        num_workers=workers,
        persistent_workers=False,
    )
    for batch in loader:
        if isinstance(batch, SparseDetError):
            raise batch
        yield batch


def _cached_bytes(images: Sequence[TrainingImage], cfg: CfgNode) -> int:
    """Return what all images take in a cache without bound."""
    sizes = [(image.source.height, image.source.width) for image in images]
    if len(cfg.INPUT.MIN_SIZE_TRAIN) == 1:
        (short_side,) = cfg.INPUT.MIN_SIZE_TRAIN
        sizes = [network_size(*size, short_side, cfg.INPUT.MAX_SIZE_TRAIN) for size in sizes]
    return sum(3 * height * width for height, width in sizes)


class _Batches(Dataset[Batch | SparseDetError]):
    """The batch of an iteration, by its number."""

    def __init__(
        self,
        images: Sequence[TrainingImage],
        cfg: CfgNode,
        seed: int,
        cache_bytes: int,
        *,
        zoomed: bool = False,
    ) -> None:
        self.images = images
        self.seed = seed
        self.batch_size: int = cfg.SOLVER.IMS_PER_BATCH
        self.colour_order: str = cfg.INPUT.FORMAT
        self.short_sides: tuple[int, ...] = tuple(cfg.INPUT.MIN_SIZE_TRAIN)
        self.max_size: int = cfg.INPUT.MAX_SIZE_TRAIN
        self.flip = cfg.INPUT.RANDOM_FLIP == "horizontal"
        two_views = cfg.SPARSEDET.METHOD == "end-to-end"
        self.second_view = augmented_view_rule(cfg) if two_views else None
        # Without a share nothing is drawn either: flips stay what they would be.
        self.zoom = zoom_rule(cfg) if zoomed and cfg.SPARSEDET.STAGED.ZOOM_SHARE > 0 else None
        self.pixels = _ImageCache(cache_bytes, keep_resized=len(self.short_sides) == 1)
        groups = (
            [
                [
                    index
                    for index, image in enumerate(images)
                    if image.source.width >= image.source.height
                ],
                [
                    index
                    for index, image in enumerate(images)
                    if image.source.width < image.source.height
                ],
            ]
            if cfg.DATALOADER.ASPECT_RATIO_GROUPING
            else [list(range(len(images)))]
        )
        # Images of one orientation share a batch: little of it is padding.
        self.groups = [np.array(group) for group in groups if group]
        self.batches_per_epoch = sum(-(-len(group) // self.batch_size) for group in self.groups)

    def __getitem__(self, iteration: int) -> Batch | SparseDetError:
        rng = np.random.default_rng((self.seed, _AUGMENTATION_STREAM, iteration))
        try:
            return [self._input(self.images[index], rng) for index in self._indices(iteration)]
        except SparseDetError as error:
            # Raised in a worker process, it would arrive with the worker's traceback in it.
            return error

    def _indices(self, iteration: int) -> Sequence[int]:
        """Return the images of a batch; every epoch shuffles images, and batches of the groups."""
        epoch, place = divmod(iteration, self.batches_per_epoch)
        rng = np.random.default_rng((self.seed, _ORDER_STREAM, epoch))
        epoch_batches: list[Any] = []
        for group in self.groups:
            count = -(-len(group) // self.batch_size)
            # The last batch is filled up with images from the epoch's beginning.
            order = np.resize(rng.permutation(group), count * self.batch_size)
            epoch_batches.extend(order.reshape(count, self.batch_size))
        chosen: Sequence[int] = epoch_batches[rng.permutation(len(epoch_batches))[place]]
        return chosen

    def _input(self, image: TrainingImage, rng: np.random.Generator) -> dict[str, Any]:
        short_side = self.short_sides[rng.integers(len(self.short_sides))]
        size = network_size(image.source.height, image.source.width, short_side, self.max_size)
        pixels = self.pixels.read(image, size)
        scale = (size[1] / image.source.width, size[0] / image.source.height)
        boxes = image.boxes * np.array(scale * 2, dtype=np.float32)
        if self.flip and rng.random() < 0.5:
            pixels = np.asarray(cv2.flip(pixels, 1), dtype=np.uint8)
            boxes = boxes[:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + (size[1], 0, size[1], 0)
            boxes = boxes.astype(np.float32)
        if self.zoom is not None and rng.random() < self.zoom.share:
            pixels, boxes = zoom(pixels, boxes, self.zoom, rng)
            boxes, roles, stays = clip(boxes, image.roles, size)
            boxes, classes = boxes[stays], image.classes[stays]
            image = replace(image, boxes=boxes, classes=classes, roles=roles[stays])
        item = {
            "image_id": image.source.id,
            "image": to_tensor(pixels, self.colour_order),
            "instances": _instances(image, boxes, size),
        }
        if self.second_view is not None:
            view = augmented_view(pixels, boxes[image.labels], self.second_view, rng)
            item["image_augmented"] = to_tensor(view, self.colour_order)
        return item


class _ImageCache:
    """Decoded images up to a bound of memory; those beyond it are decoded each time."""

    def __init__(self, limit: int, *, keep_resized: bool) -> None:
        self.limit = limit
        self.keep_resized = keep_resized
        self.images: dict[int, UInt8Image] = {}
        self.bytes = 0

    def read(self, image: TrainingImage, size: tuple[int, int]) -> UInt8Image:
        """Return the BGR pixels of an image at `size` (height, width)."""
        pixels = self.images.get(image.source.id)
        if pixels is None:
            pixels = read_image(image.source, image.folder)
            if self.keep_resized:
                pixels = resize(pixels, *size)
            if self.bytes + pixels.nbytes <= self.limit:
                self.images[image.source.id] = pixels
                self.bytes += pixels.nbytes
        return pixels if pixels.shape[:2] == size else resize(pixels, *size)


def _instances(image: TrainingImage, boxes: Any, size: tuple[int, int]) -> Instances:
    instances = Instances(size)
    instances.gt_boxes = Boxes(torch.from_numpy(np.ascontiguousarray(boxes, dtype=np.float32)))
    instances.gt_classes = torch.from_numpy(image.classes)
    if (image.roles != Role.LABEL).any():
        instances.gt_roles = torch.from_numpy(image.roles)
    return instances
