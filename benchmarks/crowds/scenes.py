"""Test images with crowds: groups of objects of one class, pasted so that they overlap.

All boxes are XYXY in absolute pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import Box, Dataset, Image, read_image
from sparsedet.annotations.matching import covered_share
from sparsedet.reporting.pictures import write_picture

CROWDED = 0.6
"""A box is crowded where it and another of its class share so much of the smaller one."""
_MOST_SHARED = 0.75
"""Of pasted boxes; what lies below has to be seen."""
_LEAST_SEEN = 0.25
"""Share of a pasted box that those above it leave."""
_GROUPS = 2
"""In an image."""
_SIZES = (2, 4)
"""Objects of a group: from the first number on, the second excluded."""
_SCALES = (0.8, 1.2)
_MOST_SIDE = 0.4
"""Of the image's sides."""
_LEAST_SIDE = 8
"""Pixels."""
_PLACES, _OFFSETS = 30, 200
"""Attempts to place a group where it hides little, and an object in its group."""
_MOST_HIDDEN = 0.5
"""A box of which a pasted one hides more is taken away."""
_FADE = 0.1
"""Share of half an object's sides over which it fades into the image."""

Place = tuple[int, int, int, int]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class _Cut:
    """An object that was cut out."""

    pixels: Pixels
    """Shape (h, w, 3), BGR: its box."""
    category_id: int


def crowded(dataset: Dataset, share: float = CROWDED) -> set[int]:
    """Return the ids of the boxes that overlap another one of their class and image so much."""
    found = set()
    for boxes in dataset.boxes_by_image.values():
        for category in {box.category_id for box in boxes}:
            own = [box for box in boxes if box.category_id == category]
            corners = np.array([box.xyxy for box in own])
            covered = covered_share(corners, corners)
            shared = np.maximum(covered, covered.T)
            np.fill_diagonal(shared, 0.0)
            found |= {box.id for box, row in zip(own, shared, strict=True) if row.max() >= share}
    return found


def make_crowds(dataset: Dataset, images: Path, target: Path, seed: int) -> Dataset:
    """Write the images of a dataset with crowds in them; return it with their boxes.

    Args:
        dataset: with all its boxes, at least one.
        images: the folder of its images.
        target: the folder to write to.
        seed: of what is pasted, and where.
    """
    made_images, made_boxes = [], []
    number = max(box.id for box in dataset.boxes)
    for index, image in enumerate(dataset.images):
        rng = np.random.default_rng((seed, index))
        pixels = read_image(image, images).copy()
        boxes = list(dataset.boxes_by_image.get(image.id, ()))
        for _ in range(_GROUPS):
            cuts = _draw_cuts(dataset, images, image, rng)
            places = _draw_places(cuts, boxes, image, rng)
            group = []
            for cut, place in zip(cuts, places, strict=False):
                _paste(cut, place, pixels)
                number += 1
                xyxy = (float(place[0]), float(place[1]), float(place[2]), float(place[3]))
                group.append(Box(number, image.id, cut.category_id, xyxy))
            boxes = [box for box in boxes if not _is_hidden(box, places)] + group
        name = f"{image.id}.png"
        write_picture(pixels, target / name)
        made_images.append(Image(image.id, name, image.width, image.height))
        made_boxes += boxes
    return Dataset(tuple(made_images), tuple(made_boxes), dataset.categories)


def _draw_cuts(
    dataset: Dataset, images: Path, image: Image, rng: np.random.Generator
) -> list[_Cut]:
    """Draw objects of one class, resized to fit an image, the largest one first."""
    categories = sorted({box.category_id for box in dataset.boxes})
    category = categories[int(rng.integers(len(categories)))]
    own = [box for box in dataset.boxes if box.category_id == category]
    count = int(rng.integers(*_SIZES))
    cuts = []
    for index in rng.choice(len(own), count, replace=len(own) < count):
        box = own[int(index)]
        source = read_image(dataset.image_by_id[box.image_id], images)
        left, top, right, bottom = (round(edge) for edge in box.xyxy)
        cut = source[max(0, top) : bottom, max(0, left) : right]
        if min(cut.shape[:2]) < 1:
            continue
        scale = min(
            float(rng.uniform(*_SCALES)),
            _MOST_SIDE * image.width / cut.shape[1],
            _MOST_SIDE * image.height / cut.shape[0],
        )
        width, height = (max(_LEAST_SIDE, round(side * scale)) for side in cut.shape[1::-1])
        if width <= image.width and height <= image.height:
            cuts.append(_Cut(np.asarray(cv2.resize(cut, (width, height)), np.uint8), category))
    return sorted(cuts, key=lambda one: -one.pixels.shape[0] * one.pixels.shape[1])


def _draw_places(
    cuts: Sequence[_Cut], boxes: Sequence[Box], image: Image, rng: np.random.Generator
) -> list[Place]:
    """Draw where the objects of a group lie: each on top of another one, most of it.

    Returns:
        A place for each object; fewer, where the last ones find none.
    """
    if not cuts:
        return []
    own = np.array([box.xyxy for box in boxes]).reshape(-1, 4)
    height, width = cuts[0].pixels.shape[:2]
    drawn = [_anywhere(width, height, image, rng) for _ in range(_PLACES)]
    places = [min(drawn, key=lambda place: float(covered_share(own, [place]).sum()))]
    # Which object is seen where.
    seen = np.full((image.height, image.width), -1)
    _cover(seen, places[0], 0)
    for cut in cuts[1:]:
        height, width = cut.pixels.shape[:2]
        for _ in range(_OFFSETS):
            place = _near(places[int(rng.integers(len(places)))], width, height, rng)
            # It is the smaller one.
            shared = covered_share([place], places).max()
            inside = min(place) >= 0 and place[2] <= image.width and place[3] <= image.height
            if not (inside and CROWDED <= shared <= _MOST_SHARED):
                continue
            after = seen.copy()
            _cover(after, place, len(places))
            if all((after == n).sum() >= _LEAST_SEEN * _area(p) for n, p in enumerate(places)):
                seen = after
                places.append(place)
                break
        else:
            break
    return places


def _anywhere(width: int, height: int, image: Image, rng: np.random.Generator) -> Place:
    left = int(rng.integers(image.width - width + 1))
    top = int(rng.integers(image.height - height + 1))
    return left, top, left + width, top + height


def _near(other: Place, width: int, height: int, rng: np.random.Generator) -> Place:
    """Draw a place that touches another one."""
    left = int(rng.integers(other[0] - width // 2, other[2] - width // 2 + 1))
    top = int(rng.integers(other[1] - height // 2, other[3] - height // 2 + 1))
    return left, top, left + width, top + height


def _cover(seen: NDArray[np.int64], place: Place, number: int) -> None:
    seen[place[1] : place[3], place[0] : place[2]] = number


def _area(place: Place) -> int:
    return (place[2] - place[0]) * (place[3] - place[1])


def _is_hidden(box: Box, places: Sequence[Place]) -> bool:
    return bool(places) and bool(covered_share([box.xyxy], places).max() > _MOST_HIDDEN)


def _paste(cut: _Cut, place: Place, pixels: Pixels) -> None:
    """Paste an object, its corners rounded off and its edges faded."""
    height, width = cut.pixels.shape[:2]
    rows, columns = (np.abs((np.arange(n) + 0.5) / n * 2 - 1) for n in (height, width))
    radius = (rows[:, None] ** 4 + columns**4) ** 0.25
    opacity = np.clip((1 + _FADE / 2 - radius) / _FADE, 0, 1)[..., None]
    under = pixels[place[1] : place[3], place[0] : place[2]]
    under[:] = np.rint(under + (cut.pixels.astype(np.float64) - under) * opacity)
