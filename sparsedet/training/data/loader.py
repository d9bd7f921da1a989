"""Batches for every iteration, each reproducible from the seed and the iteration alone.

So a training resumed at any iteration sees exactly what an uninterrupted run would have seen,
regardless of the number of loader processes; and each of several training processes sees its part
of what a single one would see.
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
from torch.utils.data import DataLoader, Dataset

from sparsedet.config.sections import InputConfig
from sparsedet.config.training_config import TrainingConfig
from sparsedet.errors import AnnotationError, SparseDetError, TrainingError
from sparsedet.modeling.inputs import PixelCache, UInt8Image, network_size
from sparsedet.runtime.resources import allow_open_files, choose_workers
from sparsedet.runtime.unreadable import OnUnreadable, UnreadableImages, warn_unreadable
from sparsedet.training.augmentation.copy_paste import ObjectBank
from sparsedet.training.augmentation.transforms import Augmentation, ImageTransform
from sparsedet.training.data.batch_order import BatchOrder
from sparsedet.training.data.packed_dataset import PackedDataset, TrainingImage
from sparsedet.wording import counted

logger = logging.getLogger(__name__)

Batch = list[dict[str, Any]]

_AUGMENTATION_STREAM, _REPLACEMENT_STREAM = 1, 2


def batches(
    images: Sequence[TrainingImage],
    config: TrainingConfig,
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

    Every input has `image`, `instances` (with `gt_roles` if it has more than labels, and
    `gt_weights` if not all weigh 1) and `image_id`; for `end-to-end` also `image_augmented`. An
    undecodable image is replaced by another random one; if it has an object to paste, the other
    image is used without it. The rest of the batch is unchanged.

    Args:
        images: the images; a batch repeats some if there are fewer than its size.
        config: the configuration; its batch size is the total over all ranks.
        seed: seed of all random draws.
        start: the first iteration.
        end: the iteration after the last one.
        rank: which part of every batch to return, 0 to `ranks` - 1.
        ranks: number of parts per batch.
        cache: the cache of decoded images; None: a new one of DATALOADER.CACHE_MIB. Loader
            processes share its size but not its images: with any, it is cleared.
        on_unreadable: called once for every undecodable image of this rank.

    Raises:
        ConfigError: when batches can't be split evenly.
        TrainingError: when there are no images.
        AnnotationError: from the iterator, when more images than DATALOADER.MAX_UNREADABLE can't be
            decoded, naming some.
    """
    packed = PackedDataset.of(images)
    config.solver.check_shares(ranks)
    part = _part(config.solver.batch_size, rank, ranks)
    _check_count(len(packed), config.solver.batch_size, rank)
    if cache is None:
        cache = PixelCache(config.loader.cache_mib * 2**20)
    workers = config.loader.num_workers
    if workers < 0:
        cached = decoded_bytes(packed, config.input)
        workers = choose_workers(cached, cache.limit, device=config.model.device)
    if workers:
        # Parallelism by processes instead of threads. Also, OpenCV's threads don't survive a fork,
        # and the child would wait for them forever: so create none before.
        cv2.setNumThreads(1)
        cache.clear()
        cache = PixelCache(cache.limit // workers)
        allow_open_files()
    loader: DataLoader[_Loaded | SparseDetError] = DataLoader(
        _Batches(packed, config, seed, part, cache),
        batch_size=None,
        sampler=range(start, end),
        num_workers=workers,
        persistent_workers=False,
        worker_init_fn=_keep_memory_shared,
    )
    unreadable = UnreadableImages(config.loader.max_unreadable, packed.files, on_unreadable)
    return _report_unreadable(loader, unreadable)


@contextmanager
def lost_workers_reported() -> Iterator[None]:
    """Turn the death of a loader process into an error with advice.

    torch raises its own in the middle of training, so this has to surround it.

    Raises:
        TrainingError: when a loader process was killed.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise TrainingError(
            "a process that loads images has ended, most likely because memory or space in "
            "/dev/shm ran out; a lower DATALOADER.NUM_WORKERS takes less"
        ) from error


def _part(batch_size: int, rank: int, ranks: int) -> range:
    """Return the positions in a batch that belong to a rank."""
    share = batch_size // ranks
    return range(rank * share, (rank + 1) * share)


def _check_count(images: int, batch_size: int, rank: int) -> None:
    if not images:
        raise TrainingError("nothing to train on: no images")
    if images < batch_size and rank == 0:
        logger.warning(
            "batches repeat images: SOLVER.IMS_PER_BATCH is %d, with only %s to learn from",
            batch_size,
            counted(images, "image"),
        )


def _report_unreadable(
    loader: "DataLoader[_Loaded | SparseDetError]", unreadable: UnreadableImages
) -> Iterator[Batch]:
    for loaded in loader:
        if isinstance(loaded, SparseDetError):
            raise loaded
        for path, reason in loaded.unreadable.items():
            unreadable.skip(path, reason)
        yield loaded.batch


def decoded_bytes(images: PackedDataset, config: InputConfig) -> int:
    """Return the size of all decoded images, in bytes."""
    if len(config.min_size_train) > 1:
        # Tiles are cut from images that are kept as they were decoded.
        sizes = images.sizes[images.are_whole].tolist()
    else:
        sizes = images.sizes.tolist()
        (short_side,), max_size = config.min_size_train, config.max_size_train
        sizes = [network_size(height, width, short_side, max_size) for height, width in sizes]
    return sum(3 * height * width for height, width in sizes)


def _keep_memory_shared(worker: int) -> None:
    """Hide inherited memory of a loader process from the garbage collector.

    It would write to all of it, which copies the memory.
    """
    gc.freeze()


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A rank's part of a batch."""

    batch: Batch
    unreadable: dict[Path, str]
    """Errors of its undecodable files."""


class _Batches(Dataset[_Loaded | SparseDetError]):
    """Computes a rank's part of the batch of an iteration."""

    def __init__(
        self,
        images: PackedDataset,
        config: TrainingConfig,
        seed: int,
        part: range,
        cache: PixelCache,
    ) -> None:
        self.images = images
        self.seed = seed
        self.part = part
        self.cache = cache
        self.order = BatchOrder(
            images, config.loader, batch_size=config.solver.batch_size, seed=seed
        )
        self.augmentation = Augmentation.of(config)
        self.bank = ObjectBank(images) if self.augmentation.copy_paste else None
        self.max_unreadable = config.loader.max_unreadable

    def __getitem__(self, iteration: int) -> _Loaded | SparseDetError:
        rng = np.random.default_rng((self.seed, _AUGMENTATION_STREAM, iteration))
        # One generator draws for the whole batch: earlier parts have to be drawn, too.
        transforms = [
            self.augmentation.draw(self.images[index], rng, self.bank)
            for index in self.order.batch(iteration)[: self.part.stop]
        ]
        unreadable = UnreadableImages(self.max_unreadable, self.images.files)
        try:
            batch = [
                self._input(transforms[place], iteration, place, unreadable) for place in self.part
            ]
        except SparseDetError as error:
            # Raised in a worker process, it would include the worker's traceback.
            return error
        return _Loaded(batch, unreadable.reasons)

    def _input(
        self, transform: ImageTransform, iteration: int, place: int, unreadable: UnreadableImages
    ) -> dict[str, Any]:
        """Return an input; if it can't be decoded, another one."""
        candidates = chain([transform], self._replacements(iteration, place))
        while True:
            transform = next(candidates)
            # The loop ends here when no image can be decoded.
            pixels = self._pixels(transform, unreadable)
            if pixels is not None:
                return transform.apply(pixels, self.augmentation.input.format)

    def _pixels(
        self, transform: ImageTransform, unreadable: UnreadableImages
    ) -> list[UInt8Image] | None:
        """Return the pixels of a transform's sources; None if one can't be decoded."""
        keep_resized = len(self.augmentation.input.min_size_train) == 1
        pixels = []
        for source, folder, tile, size in transform.sources:
            try:
                pixels.append(
                    self.cache.read(source, folder, size, tile=tile, keep_resized=keep_resized)
                )
            except AnnotationError as error:
                unreadable.skip(folder / source.file_name, str(error))
                return None
        return pixels

    def _replacements(self, iteration: int, place: int) -> Iterator[ImageTransform]:
        """Yield transforms for a position of a batch: of its own image, then of all others.

        Nothing is pasted into them, since a source of pasted objects may be undecodable. They don't
        depend on other draws or on decoding errors, which other ranks don't know.
        """
        rng = np.random.default_rng((self.seed, _REPLACEMENT_STREAM, iteration, place))
        for index in (self.order.batch(iteration)[place], *rng.permutation(len(self.images))):
            yield self.augmentation.draw(self.images[index], rng)
