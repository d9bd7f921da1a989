"""`--config auto`: image size, anchors and tiles, chosen by the annotated boxes.

A configuration shrinks images to a size at which ordinary objects are easy to see, at little cost.
If many objects are too small at that size, larger inputs show them, up to a factor limited by time
and memory; beyond it, tiles do, which don't slow down a training step. If objects are of ordinary
size, everything stays as it is.

The same boxes, configuration and resources give the same choice: it depends on quantiles, in coarse
steps, and on memory in powers of two. The choice is stored in a run folder's `config.yaml`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sparsedet.annotations import Dataset
from sparsedet.config.key_values import dotted
from sparsedet.config.training_config import TrainingConfig, is_auto, load_config
from sparsedet.modeling.tiles import tiles_of
from sparsedet.runtime.memory import usable_memory

SIZES = (
    "INPUT.MIN_SIZE_TRAIN",
    "INPUT.MAX_SIZE_TRAIN",
    "INPUT.MIN_SIZE_TEST",
    "INPUT.MAX_SIZE_TEST",
)
TILE = "INPUT.TILE"
ANCHORS = "MODEL.ANCHOR_GENERATOR.SIZES"
CHOSEN = (*SIZES, TILE, ANCHORS)
"""Keys that may be chosen, unless given as KEY VALUE."""

_SMALL = 0.2
"""The quantile of the boxes' sides to decide by."""
_ORDINARY, _WANTED = 24.0, 32.0
"""Pixels of the network's input: from the first value on, that quantile is large enough;
otherwise the second one is the goal."""
_ENLARGEMENT_STEP = 0.5
_MOST_ENLARGED = {"cpu": 2.0, "cuda": 4.0}
"""By device: maximum factor of the input's sides; a training step's time grows with its square."""
_MOST_TILES = {"cpu": 24, "cuda": 64}
"""By device: maximum number of tiles of a large image, each of which takes a detection."""
_MOST_UPSCALED = 2.0
"""Enlarging an image beyond its own pixels shows nothing new, but refines the feature maps."""
_TILE_STEP, _LEAST_TILE = 32, 64
_LARGE_IMAGE = 0.9
"""The quantile of the images' sides for counting tiles."""
_BYTES_PER_PIXEL = 3 * 2**10
"""Memory of a training per pixel of a batch: three times that measured for lite0_fpn, since larger
backbones need more."""
_MEMORY_SHARE = 0.5
_COMMON = (0.1, 0.9)
"""The quantiles of sides that anchors have to fit."""
_ANCHOR_REACH = 2.0
"""Maximum ratio of an object's side to that of a fitting anchor, or the inverse."""
_LEAST_ANCHOR = 12.0
"""Pixels: the finest maps have a stride of 8, or of 4."""
_MOST_STEP = 3.0
"""Maximum ratio of neighbouring anchors; beyond it, each map has two."""


@dataclass(frozen=True, slots=True)
class Means:
    """Resource limits of a training."""

    device: str
    """cpu or cuda."""
    memory: int
    """Memory of the device, in bytes."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An initial configuration."""

    config: TrainingConfig
    reason: str
    """What was chosen and why, in a line; empty if nothing had to be chosen."""


def config_to_start(name: str, overrides: Sequence[str], dataset: Dataset, device: str) -> Choice:
    """Return the configuration of a new run.

    Args:
        name: a configuration's name or file, or `auto`.
        overrides: `KEY VALUE` pairs, which take precedence.
        dataset: the training data.
        device: cpu or cuda.

    Raises:
        ConfigError: naming the invalid configuration, key or value.
    """
    config = load_config(name, overrides)
    if not is_auto(name):
        return Choice(config, "")
    return choose(dataset, config, means_at_hand(device), given=overrides[::2])


def config_to_resume(name: str, overrides: Sequence[str], began: TrainingConfig) -> TrainingConfig:
    """Return the requested configuration, for comparison with that of a run.

    Args:
        name: a configuration's name or file. For `auto`, the run's choice is kept.
        overrides: `KEY VALUE` pairs.
        began: the run's configuration.

    Raises:
        ConfigError: naming the invalid configuration, key or value.
    """
    config = load_config(name, overrides)
    if not is_auto(name):
        return config
    known = dict(dotted(began.node))
    return config.with_values({key: known[key] for key in CHOSEN if key not in overrides[::2]})


def means_at_hand(device: str) -> Means:
    """Return the resources of this machine, or container.

    Memory is in powers of two, regardless of other programs.
    """
    if device == "cuda":
        memory = torch.cuda.get_device_properties(0).total_memory
    else:
        memory = usable_memory()
    # A machine of 8 GiB reports slightly less.
    return Means(device, 2 ** round(np.log2(memory)))


def choose(
    dataset: Dataset, config: TrainingConfig, means: Means, given: Collection[str] = ()
) -> Choice:
    """Choose image size, anchors and tiles.

    Args:
        dataset: the boxes, and the sizes of their images; crowd regions don't count.
        config: the configuration to start from.
        means: time and memory limits.
        given: keys to leave unchanged.
    """
    objects = _Objects.of(dataset)
    if not len(objects.sides):
        return Choice(config, "auto: no boxes to choose by; image size and anchors stay")
    small = _quantile(objects.sides * objects.scales(config), _SMALL)
    before = config.input.max_size_test
    reason = f"image size {before} stays"
    values: Mapping[str, Any] = {}
    if small < _ORDINARY and not config.input.tile:
        values = _closer(objects, config, means, given, small)
        config = config.with_values(values)
    if TILE in values:
        reason = f"tiles of {values[TILE]} pixels, and whole images at {config.input.max_size_test}"
    elif values:
        cost = (config.input.max_size_test / before) ** 2
        reason = f"image size {config.input.max_size_test} instead of {before}"
        reason += f" (a step takes about {cost:.2g} times as long)"
    anchors = _anchors(objects, config) if ANCHORS not in given else None
    if anchors is not None:
        config = config.with_values({ANCHORS: anchors})
        shown = ", ".join(str(size) for sizes in anchors for size in sizes)
        reason += f", anchors of {shown} pixels"
    now = _quantile(objects.sides * objects.best_scales(config), _SMALL)
    became = f", now {now:.0f}" if values else ""
    if values and now < _ORDINARY:
        most = f"{_MOST_TILES[means.device]} tiles per image"
        became += f": no closer, for {most if TILE in values else 'time and memory'}"
    return Choice(
        config,
        f"auto: {reason}; a fifth of the boxes is smaller than {small:.0f} pixels at {before}"
        + became,
    )


@dataclass(frozen=True, slots=True)
class _Objects:
    """The annotated boxes, by size."""

    sides: NDArray[np.float64]
    """Shape (N,): square root of the area, in pixels of the image."""
    images: NDArray[np.float64]
    """Shape (N, 2): height and width of each box's image."""

    @classmethod
    def of(cls, dataset: Dataset) -> "_Objects":
        boxes = [box for box in dataset.boxes if not box.iscrowd]
        images = [dataset.image_by_id[box.image_id] for box in boxes]
        sides = np.array([(box.width * box.height) ** 0.5 for box in boxes], dtype=np.float64)
        sizes = np.array([(image.height, image.width) for image in images], dtype=np.float64)
        visible = sides > 0
        return cls(sides[visible], sizes.reshape(-1, 2)[visible])

    def scales(self, config: TrainingConfig) -> NDArray[np.float64]:
        """Return the scale of each box's image at test time, shape (N,)."""
        return _scales(self.images, config)

    def best_scales(self, config: TrainingConfig) -> NDArray[np.float64]:
        """Return the largest scale of each box over the whole image and tiles, shape (N,)."""
        whole, tile = self.scales(config), config.input.tile
        if not tile:
            return whole
        views = np.minimum(self.images, tile)
        fits = self.sides <= views.min(axis=1)
        return np.where(fits, np.maximum(whole, _scales(views, config)), whole)


def _scales(sizes: NDArray[np.float64], config: TrainingConfig) -> NDArray[np.float64]:
    """Return the scale at test time of images, or tiles, of `sizes` (N, 2), shape (N,)."""
    short, long = config.input.min_size_test, config.input.max_size_test
    return np.asarray(np.minimum(short / sizes.min(axis=1), long / sizes.max(axis=1)))


def _closer(
    objects: _Objects,
    config: TrainingConfig,
    means: Means,
    given: Collection[str],
    small: float,
) -> dict[str, Any]:
    """Return values of keys that enlarge small objects; none if that is not possible."""
    sizes_free = not set(SIZES) & set(given)
    most = _most_enlarged(config, means) if sizes_free else 1.0
    own_pixels = _MOST_UPSCALED / _quantile(objects.scales(config), 0.5)
    wanted = min(_WANTED / small, max(1.0, own_pixels))
    factor = ceil(wanted / _ENLARGEMENT_STEP) * _ENLARGEMENT_STEP
    if factor > most and TILE not in given:
        # If sizes are drawn from several, they stay: square tiles are seen at the shorter side.
        square = sizes_free and len(config.input.min_size_train) == 1
        input_side = config.input.max_size_test if square else config.input.min_size_test
        tile = _tile(objects, input_side, means)
        if input_side / tile > most * _quantile(objects.scales(config), 0.5):
            # The whole square is seen; whole images are as large as before.
            side = config.input.max_size_test
            sizes = {
                "INPUT.MIN_SIZE_TRAIN": (config.input.max_size_train,),
                "INPUT.MIN_SIZE_TEST": side,
            }
            return {TILE: tile, **(sizes if square else {})}
    factor = min(factor, most)
    return _enlarged(config, factor) if factor > 1 else {}


def _most_enlarged(config: TrainingConfig, means: Means) -> float:
    """Return the largest factor of the input's sides within time and memory limits."""
    # Parts that don't divide the batch are refused later.
    batch = max(1, config.solver.batch_size // config.solver.accumulation)
    pixels = batch * max(config.input.min_size_train) * config.input.max_size_train
    room = _MEMORY_SHARE * means.memory / (pixels * _BYTES_PER_PIXEL)
    by_memory = int(room**0.5 / _ENLARGEMENT_STEP) * _ENLARGEMENT_STEP
    return max(1.0, min(_MOST_ENLARGED[means.device], by_memory))


def _enlarged(config: TrainingConfig, factor: float) -> dict[str, Any]:
    given = config.input
    return {
        "INPUT.MIN_SIZE_TRAIN": tuple(round(side * factor) for side in given.min_size_train),
        "INPUT.MAX_SIZE_TRAIN": round(given.max_size_train * factor),
        "INPUT.MIN_SIZE_TEST": round(given.min_size_test * factor),
        "INPUT.MAX_SIZE_TEST": round(given.max_size_test * factor),
    }


def _tile(objects: _Objects, input_side: int, means: Means) -> int:
    """Return the side of tiles that enlarge small objects enough, and are not too many."""
    ratio = max(_quantile(objects.sides, _SMALL) / _WANTED, 1 / _MOST_UPSCALED)
    side = max(_LEAST_TILE, ceil(input_side * ratio / _TILE_STEP) * _TILE_STEP)
    height, width = (round(_quantile(lengths, _LARGE_IMAGE)) for lengths in objects.images.T)
    while len(tiles_of(width, height, side)) > _MOST_TILES[means.device]:
        side += _TILE_STEP
    return side


def _anchors(objects: _Objects, config: TrainingConfig) -> list[list[int]] | None:
    """Return anchors that fit the common sizes; None if the configuration's do.

    Their range never gets narrower, since there are other objects than the common ones.
    """
    generator = config.node.MODEL.ANCHOR_GENERATOR
    present = sorted(size for sizes in generator.SIZES for size in sizes)
    maps = len(config.node.MODEL.RPN.IN_FEATURES)
    # Anchors of detectors trained on COCO fit their weights.
    if generator.NAME != "DefaultAnchorGenerator" or len(generator.SIZES) != maps:
        return None
    seen = objects.sides * objects.best_scales(config)
    low, high = (_quantile(seen, share) for share in _COMMON)
    first, last = float(present[0]), float(present[-1])
    if low * _ANCHOR_REACH < first:
        first = min(first, max(low, _LEAST_ANCHOR))
    if high > last * _ANCHOR_REACH:
        last = high
    if (first, last) == (present[0], present[-1]):
        return None
    count = maps if (last / first) ** (1 / max(maps - 1, 1)) <= _MOST_STEP else 2 * maps
    chosen = np.geomspace(first, last, count).round().astype(int).tolist()
    each = count // maps
    return [chosen[start : start + each] for start in range(0, count, each)]


def _quantile(values: NDArray[np.float64], share: float) -> float:
    return float(np.quantile(values, share))
