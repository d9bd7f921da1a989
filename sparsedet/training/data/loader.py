"""Batches for every iteration, each reproducible from the seed and the iteration alone.

So training resumed at any iteration sees exactly what an uninterrupted run would have seen,
whatever the number of loader processes; and of several processes that share a training each sees
its part of what one would see.
"""

import gc
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from detectron2.config import CfgNode
from torch.utils.data import DataLoader, Dataset

from sparsedet.errors import AnnotationError, SparseDetError, TrainingError
from sparsedet.modeling.inputs import PixelCache, UInt8Image, network_size
from sparsedet.runtime.resources import choose_workers
from sparsedet.runtime.unreadable import OnUnreadable, UnreadableImages, warn_unreadable
from sparsedet.training.augmentation.copy_paste import Donors
from sparsedet.training.augmentation.plan import Plan, apply_plan, draw_plan, plan_rule
from sparsedet.training.config.constraints import check_shares
from sparsedet.training.data.batch_order import BatchOrder
from sparsedet.training.data.packed_dataset import PackedImages, TrainingImage

logger = logging.getLogger(__name__)

Batch = list[dict[str, Any]]

_AUGMENTATION_STREAM, _REPLACEMENT_STREAM = 1, 2


def batches(
    images: Sequence[TrainingImage],
    cfg: CfgNode,
    *,
    seed: int,
    start: int,
    end: int,
    rank: int = 0,
    ranks: int = 1,
    cache: PixelCache | None = None,
    on_unreadable: OnUnreadable = warn_unreadable,
) -> Iterator[Batch]:
    """Return the batches of iterations `start` to `end` - 1.

    Every input has `image`, `instances` (with `gt_roles` where more than labels is known) and
    `image_id`; for `end-to-end` also `image_augmented`. An image that can't be decoded is replaced
    by another, drawn at random; where it has an object to paste, the other image stays without it.
    The rest of the batch stays what it would be.

    Args:
        images: the images; where they are fewer than a batch has, it repeats some of them.
        cfg: the configuration; SOLVER.IMS_PER_BATCH counts the images of all ranks together.
        seed: of everything that is drawn.
        start: the first iteration.
        end: behind the last iteration.
        rank: which part of every batch to return, 0 to `ranks` - 1.
        ranks: into how many parts batches are parted.
        cache: where decoded images are kept; None: in one of DATALOADER.CACHE_MIB. Loader processes
            share the room, but not the images: it is emptied where there are any.
        on_unreadable: told about every image that can't be decoded, once. Images of other ranks are
            theirs to tell.

    Raises:
        ConfigError: when batches can't be parted evenly.
        TrainingError: when there are no images.
        AnnotationError: from the iterator, when more images than DATALOADER.MAX_UNREADABLE can't be
            decoded, naming some.
    """
    packed = PackedImages.of(images)
    check_shares(cfg, ranks)
    part = _part(cfg.SOLVER.IMS_PER_BATCH, rank, ranks)
    _check_count(len(packed), cfg.SOLVER.IMS_PER_BATCH, rank)
    if cache is None:
        cache = PixelCache(cfg.DATALOADER.CACHE_MIB * 2**20)
    workers: int = cfg.DATALOADER.NUM_WORKERS
    if workers < 0:
        workers = choose_workers(_cached_bytes(packed, cfg), cache.limit, device=cfg.MODEL.DEVICE)
    if workers:
        # Processes for threads. Also, OpenCV's threads are lost in a forked process, which then
        # waits for them without end: there must be none before.
        cv2.setNumThreads(1)
        cache.clear()
        cache = PixelCache(cache.limit // workers)
    loader: DataLoader[_Loaded | SparseDetError] = DataLoader(
        _Batches(packed, cfg, seed, part, cache),
        batch_size=None,
        sampler=range(start, end),
        num_workers=workers,
        persistent_workers=False,
        worker_init_fn=_keep_memory_shared,
    )
    limit: int = cfg.DATALOADER.MAX_UNREADABLE
    return _told(loader, UnreadableImages(limit, len(packed), on_unreadable))


@contextmanager
def lost_loaders_told() -> Iterator[None]:
    """Turn the end of a loader process into an error that people can mend.

    torch raises its own wherever the training happens to be, which this has to surround.

    Raises:
        TrainingError: when a loader process was killed.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise TrainingError(
            "a process that loads images has ended, most likely for want of memory, or of room in "
            "/dev/shm; a lower DATALOADER.NUM_WORKERS takes less"
        ) from error


def _part(batch_size: int, rank: int, ranks: int) -> range:
    """Return the places in a batch that are a rank's."""
    share = batch_size // ranks
    return range(rank * share, (rank + 1) * share)


def _check_count(images: int, batch_size: int, rank: int) -> None:
    if not images:
        raise TrainingError("nothing to train on: no images")
    if images < batch_size and rank == 0:
        logger.warning(
            "batches repeat images: SOLVER.IMS_PER_BATCH is %d, but there are only %d images to "
            "learn from",
            batch_size,
            images,
        )


def _told(
    loader: "DataLoader[_Loaded | SparseDetError]", unreadable: UnreadableImages
) -> Iterator[Batch]:
    for loaded in loader:
        if isinstance(loaded, SparseDetError):
            raise loaded
        for path, reason in loaded.unreadable.items():
            unreadable.skip(path, reason)
        yield loaded.batch


def _cached_bytes(images: PackedImages, cfg: CfgNode) -> int:
    """Return what all images take in a cache without bound."""
    sizes = images.sizes.tolist()
    if len(cfg.INPUT.MIN_SIZE_TRAIN) == 1:
        (short_side,) = cfg.INPUT.MIN_SIZE_TRAIN
        max_size: int = cfg.INPUT.MAX_SIZE_TRAIN
        sizes = [network_size(height, width, short_side, max_size) for height, width in sizes]
    return sum(3 * height * width for height, width in sizes)


def _keep_memory_shared(worker: int) -> None:
    """Keep the garbage collector from what a loader process has inherited.

    It would write to all of it, which makes a copy of the memory.
    """
    gc.freeze()


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A rank's part of a batch."""

    batch: Batch
    unreadable: dict[Path, str]
    """Why which of the files that belong to it can't be decoded."""


class _Batches(Dataset[_Loaded | SparseDetError]):
    """A rank's part of the batch of an iteration, by its number."""

    def __init__(
        self,
        images: PackedImages,
        cfg: CfgNode,
        seed: int,
        part: range,
        cache: PixelCache,
    ) -> None:
        self.images = images
        self.seed = seed
        self.part = part
        self.cache = cache
        self.order = BatchOrder(images, cfg, seed)
        self.rule = plan_rule(cfg)
        self.donors = Donors(images) if self.rule.paste else None
        self.colour_order: str = cfg.INPUT.FORMAT
        self.max_unreadable: int = cfg.DATALOADER.MAX_UNREADABLE

    def __getitem__(self, iteration: int) -> _Loaded | SparseDetError:
        rng = np.random.default_rng((self.seed, _AUGMENTATION_STREAM, iteration))
        # One generator draws for all the batch: those before this part have to be drawn, too.
        plans = [
            draw_plan(self.images[index], self.rule, rng, self.donors)
            for index in self.order.batch(iteration)[: self.part.stop]
        ]
        unreadable = UnreadableImages(self.max_unreadable, len(self.images))
        try:
            batch = [self._input(plans[place], iteration, place, unreadable) for place in self.part]
        except SparseDetError as error:
            # Raised in a worker process, it would arrive with the worker's traceback in it.
            return error
        return _Loaded(batch, unreadable.reasons)

    def _input(
        self, plan: Plan, iteration: int, place: int, unreadable: UnreadableImages
    ) -> dict[str, Any]:
        """Return the input of a plan, or where it can't be decoded of another in its place."""
        candidates = chain([plan], self._replacements(iteration, place))
        while True:
            plan = next(candidates)
            # Here the loop ends when no image can be decoded.
            pixels = self._pixels(plan, unreadable)
            if pixels is not None:
                return apply_plan(plan, pixels, self.colour_order)

    def _pixels(self, plan: Plan, unreadable: UnreadableImages) -> list[UInt8Image] | None:
        """Return the pixels that a plan needs; None where one image can't be decoded."""
        keep_resized = len(self.rule.short_sides) == 1
        pixels = []
        for source, folder, size in plan.sources:
            try:
                pixels.append(self.cache.read(source, folder, size, keep_resized=keep_resized))
            except AnnotationError as error:
                unreadable.skip(folder / source.file_name, str(error))
                return None
        return pixels

    def _replacements(self, iteration: int, place: int) -> Iterator[Plan]:
        """Yield plans for a place of a batch: of its own image, and then of all others.

        Nothing is pasted into them: it may be an image to paste from that can't be decoded. They
        depend on nothing else that was drawn, or could not be decoded: other ranks don't know.
        """
        rng = np.random.default_rng((self.seed, _REPLACEMENT_STREAM, iteration, place))
        for index in (self.order.batch(iteration)[place], *rng.permutation(len(self.images))):
            yield draw_plan(self.images[index], self.rule, rng)
