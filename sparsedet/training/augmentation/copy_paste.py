"""Copy-paste: labelled objects, copied into other training images.

Sparse labels show a model few objects, each among others that it has to treat as background. With
pasted objects from other images, an image teaches as much as one with more labels, and only what
is certain: mined objects are not copied. The class is drawn first, then one of its objects, so that
rare classes are pasted as often as common ones.

Follows Dwibedi, Misra and Hebert, "Cut, Paste and Learn: Surprisingly Easy Synthesis for Instance
Detection" (ICCV 2017), who also blend the edges, so that models don't learn these; and Ghiasi et
al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation" (CVPR 2021),
at random positions and sizes. Both cut along the outlines of objects. Here there are only boxes:
an object's surroundings are copied too, and fade out in a margin around its box. Other objects
there become ignore regions, as they are mostly cut off.

All boxes are XYXY in absolute pixels.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import Image
from sparsedet.config.augmentations import CopyPasteConfig
from sparsedet.modeling.inputs import UInt8Image, resize
from sparsedet.modeling.targets import MORE_LIKELY_THAN_NOT, WHOLE_IMAGE, Role
from sparsedet.modeling.tiles import Tile
from sparsedet.training.data.packed_dataset import PackedDataset, TrainingImage

_MARGIN = 0.15
"""Margin around a box, as a share of its sides, that fades into the other image."""
_MOST_HIDDEN = 0.1
"""Maximum share of a box that a pasted object, with its margin, may hide."""
_LEAST_SIDE = 4
"""Pixels; smaller crops show nothing."""
_ATTEMPTS = 10
"""Attempts to find a position that hides nothing; then an object is left out."""
_OBJECTS = (Role.LABEL, Role.MINED, Role.IGNORE_REGION)
"""Roles of boxes that show, or may show, an object."""

Size = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True, slots=True)
class PastedObject:
    """An object copied from its source image and pasted into a target image."""

    source: Image
    folder: Path
    """The source's file."""
    source_tile: Tile | None
    """What is taken of the source; None: all of it."""
    source_size: Size
    """Height and width that the source, or its tile, is resized to."""
    crop: tuple[int, int, int, int]
    """The crop of the resized source, with the margin."""
    place: tuple[int, int, int, int]
    """Height and width of the crop in the target."""
    mirrored: bool
    box: NDArray[np.float32]
    """Shape (4,): the object's box, in the target."""
    class_index: int
    others: NDArray[np.float32]
    """Shape (M, 4): boxes of everything else known in the crop, in the target."""
    other_classes: NDArray[np.int64]
    """Shape (M,): their classes; the target lacks labels of them, even if they are complete
    there."""

    def paste(self, source: UInt8Image, target: UInt8Image) -> None:
        """Paste the object into `target`; `source` has the size `source_size`."""
        left, top, right, bottom = self.crop
        patch = source[top:bottom, left:right]
        if self.mirrored:
            patch = patch[:, ::-1]
        left, top, right, bottom = self.place
        patch = resize(np.ascontiguousarray(patch), bottom - top, right - left)
        columns = _opacity(left, right, *self.box[[0, 2]])
        rows = _opacity(top, bottom, *self.box[[1, 3]])
        opacity = (rows[:, None] * columns)[..., None]
        under = target[top:bottom, left:right]
        under[:] = np.rint(under + (patch.astype(np.float32) - under) * opacity)


class ObjectBank:
    """The labelled objects, by class."""

    def __init__(self, images: PackedDataset) -> None:
        self._images = images
        places, rows, classes = images.rows(Role.LABEL)
        order = np.argsort(classes, kind="stable")
        self._places, self._rows = places[order], rows[order]
        _, counts = np.unique(classes, return_counts=True)
        self._ends = np.cumsum(counts)
        """For each existing class, the end of its objects in `_places` and `_rows`."""

    def __len__(self) -> int:
        return len(self._places)

    def draw(self, rng: np.random.Generator) -> tuple[TrainingImage, int]:
        """Draw a class, then one of its objects: return the image, and the object's index in it."""
        number = int(rng.integers(len(self._ends)))
        start = self._ends[number - 1] if number else 0
        chosen = int(rng.integers(start, self._ends[number]))
        return self._images[int(self._places[chosen])], int(self._rows[chosen])


def draw_copy_paste(
    image: TrainingImage,
    size: Size,
    bank: ObjectBank,
    config: CopyPasteConfig,
    rng: np.random.Generator,
    resized: Callable[[int, int], Size],
    *,
    mirrors: bool,
) -> list[PastedObject]:
    """Draw the objects to paste into an image.

    Args:
        image: its boxes in pixels of the resized image; none of them gets hidden.
        size: height and width of the resized image.
        bank: the objects to draw from, at least one.
        config: how many, and how large.
        rng: the random generator.
        resized: returns the resized size for a source's height and width.
        mirrors: whether half of the objects are mirrored.

    Returns:
        The objects in paste order; fewer if there is no room.
    """
    pasted: list[PastedObject] = []
    own = image.boxes[~np.isin(image.roles, WHOLE_IMAGE)]
    for _ in range(int(rng.integers(1, config.max_objects + 1))):
        source, row = bank.draw(rng)
        if source.source.id == image.source.id:
            continue
        taken = np.concatenate([own, *(one.box[None] for one in pasted)])
        drawn = _draw_object(source, row, taken, size, config, rng, resized, mirrors=mirrors)
        if drawn is not None:
            pasted.append(drawn)
    return pasted


def takes_objects(image: TrainingImage, config: CopyPasteConfig, rng: np.random.Generator) -> bool:
    """Draw whether to paste objects into an image: the fewer labels, the more likely.

    Never into one without labels: with its first label it would count as annotated, and its other
    content as background. Nor into one whose objects all have a label, by a person: other objects
    around a pasted one would lack theirs.
    """
    count = int((image.labels & (image.weights >= MORE_LIKELY_THAN_NOT)).sum())
    if count == 0 or Role.EXHAUSTIVE in image.roles:
        return False
    return rng.random() * count < config.max_labels


def with_pasted(image: TrainingImage, pasted: Sequence[PastedObject]) -> TrainingImage:
    """Return an image's rows, plus the pasted objects as labels, and their ignore regions."""
    if not pasted:
        return image
    others = np.concatenate([one.others for one in pasted])
    classes = [one.class_index for one in pasted]
    other_classes = np.concatenate([one.other_classes for one in pasted])
    return replace(
        image,
        boxes=np.concatenate([image.boxes, [one.box for one in pasted], others]),
        classes=np.concatenate([image.classes, classes, other_classes]),
        roles=np.append(
            image.roles, [Role.LABEL] * len(pasted) + [Role.IGNORE_REGION] * len(others)
        ),
        weights=np.append(image.weights, np.ones(len(pasted) + len(others), dtype=np.float32)),
    )


def _draw_object(
    image: TrainingImage,
    row: int,
    taken: NDArray[np.float32],
    size: Size,
    config: CopyPasteConfig,
    rng: np.random.Generator,
    resized: Callable[[int, int], Size],
    *,
    mirrors: bool,
) -> PastedObject | None:
    """Draw how to paste an object into another image; None if there is no room."""
    source_size = resized(image.height, image.width)
    shrink = np.array([source_size[1] / image.width, source_size[0] / image.height] * 2)
    boxes = image.boxes * shrink
    crop = _with_margin(boxes[row], source_size)
    least, most = (math.log(scale) for scale in config.scale)
    scale = math.exp(rng.uniform(least, most))
    mirrored = mirrors and rng.random() < 0.5
    sides = crop[2:] - crop[:2]
    width, height = (round(side * scale) for side in sides.tolist())
    if min(width, height) < _LEAST_SIDE or width > size[1] or height > size[0]:
        return None
    corner = _free_place(width, height, taken, size, rng)
    if corner is None:
        return None
    left, top = corner
    boxes = (boxes - np.tile(crop[:2], 2)) * np.tile([width, height] / sides, 2)
    if mirrored:
        boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
    objects = np.isin(image.roles, _OBJECTS) & (np.arange(len(boxes)) != row)
    others = boxes[objects].clip(0, [width, height] * 2)
    inside = (others[:, 2:] > others[:, :2]).all(axis=1)
    others = others[inside]
    move = np.array([left, top] * 2)
    return PastedObject(
        source=image.source,
        folder=image.folder,
        source_tile=image.tile,
        source_size=source_size,
        crop=tuple(crop.tolist()),
        place=(left, top, left + width, top + height),
        mirrored=mirrored,
        box=(boxes[row] + move).astype(np.float32),
        class_index=int(image.classes[row]),
        others=(others + move).astype(np.float32),
        other_classes=image.classes[objects][inside],
    )


def _free_place(
    width: int, height: int, taken: NDArray[np.float32], size: Size, rng: np.random.Generator
) -> tuple[int, int] | None:
    """Draw a position that hides none of the boxes `taken`; None if none is found."""
    for _ in range(_ATTEMPTS):
        left = int(rng.integers(size[1] - width + 1))
        top = int(rng.integers(size[0] - height + 1))
        if not _hides((left, top, left + width, top + height), taken):
            return left, top
    return None


def _with_margin(box: NDArray[np.float64], size: Size) -> NDArray[np.int64]:
    """Return a box in whole pixels with its margin, clipped to the image."""
    margin = _MARGIN * (box[2:] - box[:2])
    outer = np.concatenate([np.floor(box[:2] - margin), np.ceil(box[2:] + margin)])
    return np.asarray(outer.clip(0, [size[1], size[0]] * 2), dtype=np.int64)


def _hides(place: tuple[int, int, int, int], boxes: NDArray[np.float32]) -> bool:
    """Return whether a region covers too much of one of the boxes, shape (N, 4)."""
    sides = np.minimum(boxes[:, 2:], place[2:]) - np.maximum(boxes[:, :2], place[:2])
    covered = sides.clip(0).prod(axis=1)
    return bool((covered > _MOST_HIDDEN * (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)).any())


def _opacity(start: int, end: int, first: float, last: float) -> NDArray[np.float32]:
    """Return the opacity of the pixels from `start` to `end`, shape (end - start,).

    It is 1 between the edges `first` and `last` of a box, and falls linearly to 0 at both ends.
    """
    middles = np.arange(start, end) + 0.5
    before, behind = max(first - start, 1e-6), max(end - last, 1e-6)
    falling = np.minimum((middles - start) / before, (end - middles) / behind)
    return np.asarray(falling.clip(0, 1), dtype=np.float32)
