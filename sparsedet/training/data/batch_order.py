"""The order of images over batches; every epoch is shuffled."""

import math

import numpy as np
from numpy.typing import NDArray

from sparsedet.config.sections import LoaderConfig
from sparsedet.training.data.packed_dataset import PackedDataset

_ORDER_STREAM = 0


class BatchOrder:
    """The batches of all epochs, each reproducible from seed and iteration alone."""

    def __init__(
        self, images: PackedDataset, config: LoaderConfig, *, batch_size: int, seed: int
    ) -> None:
        self._seed = seed
        self._batch_size = batch_size
        self._factors: NDArray[np.float64] = np.ones(len(images))
        self._class_balanced = config.sampler == "RepeatFactorTrainingSampler"
        if self._class_balanced:
            self._factors = repeat_factors(images, config.repeat_threshold, root=config.repeat_sqrt)
        heights, widths = images.sizes.T
        groups = (
            # Images of one orientation share a batch, for little padding.
            [np.flatnonzero(widths >= heights), np.flatnonzero(widths < heights)]
            if config.aspect_ratio_grouping
            else [np.arange(len(images))]
        )
        if any(len(group) < self._batch_size for group in groups):
            # Too few for a batch of their own, which would repeat an image many times.
            groups = [np.arange(len(images))]
        self._groups = groups
        self._counts = [
            math.ceil(self._factors[group].sum() / self._batch_size) for group in self._groups
        ]
        self.batches_per_epoch = sum(self._counts)
        self._epoch: tuple[int, NDArray[np.int64]] | None = None
        """The last requested epoch, and its batches."""

    def batch(self, iteration: int) -> NDArray[np.int64]:
        """Return the indices of a batch's images, shape (batch_size,)."""
        epoch, place = divmod(iteration, self.batches_per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = epoch, self._batches_of(epoch)
        chosen: NDArray[np.int64] = self._epoch[1][place]
        return chosen

    def _batches_of(self, epoch: int) -> NDArray[np.int64]:
        rng = np.random.default_rng((self._seed, _ORDER_STREAM, epoch))
        batches = []
        for group, count in zip(self._groups, self._counts, strict=True):
            if self._class_balanced:
                group = np.repeat(group, _rounded(self._factors[group], rng))
            # The last batch is filled up from the epoch's beginning. An epoch with more images than
            # average, by rounding, loses its last ones: all epochs have the same number of batches,
            # so that a later one can be found without drawing the others.
            order = np.resize(rng.permutation(group), count * self._batch_size)
            batches.append(order.reshape(count, self._batch_size))
        return np.concatenate(batches)[rng.permutation(self.batches_per_epoch)]


def repeat_factors(
    images: PackedDataset, threshold: float, *, root: bool = True
) -> NDArray[np.float64]:
    """Return how often an epoch shows each image, at least once; shape (N,).

    Gupta et al., "LVIS: A Dataset for Large Vocabulary Instance Segmentation" (CVPR 2019), section
    5: a class that a share f of the images has a label of is repeated max(1, sqrt(t / f)) times, an
    image as often as that of its classes which is repeated most.

    Args:
        images: the images; mined labels count.
        threshold: t, 0 to 1; classes in a larger share of the images are not repeated.
        root: whether to take the square root.
    """
    places, classes = images.labels()
    # Count every class once per image.
    width = int(classes.max(initial=0)) + 1
    places, classes = np.divmod(np.unique(places * width + classes), width)
    _, kind, counts = np.unique(classes, return_inverse=True, return_counts=True)
    ratio = threshold / (counts / len(images))
    factors = np.maximum(1, np.sqrt(ratio) if root else ratio)
    result = np.ones(len(images))
    np.maximum.at(result, places, factors[kind])
    return result


def _rounded(factors: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Round up or down at random, so that the mean over the epochs is the factor."""
    whole = np.floor(factors)
    up = rng.random(len(factors)) < factors - whole
    return np.asarray(whole + up, dtype=np.int64)
