"""Generated scenes of real handwritten digits: a small, fully labelled dataset, no download.

The digits are scikit-learn's copy of the UCI "Optical Recognition of Handwritten Digits"
(E. Alpaydin and C. Kaynak, 1998; CC BY 4.0): 1,797 pictures of 8 x 8 pixels by 43 writers. A scene
shows several of them, large and small, on a textured background; every one has a box.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.errors import SetupError
from sparsedet.reporting.pictures import write_picture

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_MAX_OVERLAP = 0.05
"""Maximum share of a digit's box that another one covers."""
_PLACING_ATTEMPTS = 30
_INK_LEVEL = 0.25
"""Ink threshold for tight boxes, 0 to 1."""
_WIDTH, _HEIGHT = 320, 240
"""Size of a scene in pixels."""
_DIGITS = 5, 10
"""Minimum and maximum number of digits in a scene."""
_DIGIT_HEIGHTS = 34, 72
"""Minimum and maximum height of a digit's picture in pixels."""


def make_scenes(count: int, folder: Path, seed: int) -> Dataset:
    """Write `count` scenes as PNG files into `folder` and return their complete annotations.

    Raises:
        SetupError: when scikit-learn, which provides the digits, is not installed.
    """
    pictures, labels = _digits()
    images: list[Image] = []
    boxes: list[Box] = []
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        pixels, drawn = _scene(rng, pictures, labels)
        image = Image(index + 1, f"scene_{index + 1:04d}.png", _WIDTH, _HEIGHT)
        write_picture(pixels, folder / image.file_name)
        images.append(image)
        for box in drawn:
            boxes.append(replace(box, id=len(boxes) + 1, image_id=image.id))
    categories = tuple(Category(digit + 1, name) for digit, name in enumerate(NAMES))
    return Dataset(tuple(images), tuple(boxes), categories)


def _scene(
    rng: np.random.Generator,
    pictures: NDArray[np.float32],
    labels: NDArray[np.int64],
) -> tuple[NDArray[np.uint8], list[Box]]:
    canvas = _background(rng)
    drawn: list[Box] = []
    for _ in range(rng.integers(*_DIGITS, endpoint=True)):
        index = int(rng.integers(len(labels)))
        ink = _enlarge(pictures[index], int(rng.integers(*_DIGIT_HEIGHTS, endpoint=True)))
        place = _free_place(rng, ink.shape, [box.xyxy for box in drawn])
        if place is None:
            continue
        x, y = place
        patch = canvas[y : y + ink.shape[0], x : x + ink.shape[1]]
        colour = _contrasting_colour(rng, patch)
        patch += ink[:, :, None] * (colour - patch)
        drawn.append(Box(0, 0, int(labels[index]) + 1, _tight_box(ink, x, y)))
    noisy = canvas + rng.normal(0, 4, canvas.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), drawn


def _background(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a soft texture of a random colour, shape (H, W, 3): noise at three scales."""
    texture = np.zeros((_HEIGHT, _WIDTH, 3), dtype=np.float32)
    for cell, strength in ((80, 28), (24, 14), (6, 8)):
        shape = (_HEIGHT // cell + 2, _WIDTH // cell + 2, 3)
        coarse = rng.normal(0, strength, shape).astype(np.float32)
        grown = cv2.resize(coarse, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
        texture += np.asarray(grown, dtype=np.float32)
    texture += rng.uniform(60, 195, 3).astype(np.float32)
    return texture


def _enlarge(picture: NDArray[np.float32], height: int) -> NDArray[np.float32]:
    """Return a digit's ink, 0 to 1, cropped and enlarged to `height`."""
    columns = np.flatnonzero(picture.max(axis=0) > _INK_LEVEL)
    cut = picture[:, columns[0] : columns[-1] + 1]
    width = max(6, round(height * cut.shape[1] / cut.shape[0]))
    grown: Any = cv2.resize(cut, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip((grown - 0.15) * 1.6, 0, 1), dtype=np.float32)


def _free_place(
    rng: np.random.Generator, shape: tuple[int, ...], taken: list[XYXY]
) -> tuple[int, int] | None:
    height, width = shape
    for _ in range(_PLACING_ATTEMPTS):
        x = int(rng.integers(0, _WIDTH - width + 1))
        y = int(rng.integers(0, _HEIGHT - height + 1))
        covered = [
            max(0.0, min(x + width, right) - max(x, left))
            * max(0.0, min(y + height, bottom) - max(y, top))
            / min(width * height, (right - left) * (bottom - top))
            for left, top, right, bottom in taken
        ]
        if max(covered, default=0.0) <= _MAX_OVERLAP:
            return x, y
    return None


def _contrasting_colour(rng: np.random.Generator, patch: NDArray[Any]) -> NDArray[np.float32]:
    dark = patch.mean() > 127
    return rng.uniform(0, 60, 3).astype(np.float32) + (0 if dark else 195)


def _tight_box(ink: NDArray[np.float32], x: int, y: int) -> XYXY:
    rows = np.flatnonzero(ink.max(axis=1) > _INK_LEVEL)
    columns = np.flatnonzero(ink.max(axis=0) > _INK_LEVEL)
    return (
        float(x + columns[0]),
        float(y + rows[0]),
        float(x + columns[-1] + 1),
        float(y + rows[-1] + 1),
    )


def _digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise SetupError(
            "the digit scenes need scikit-learn: pip install 'sparsedet[demo]'"
        ) from None
    digits = load_digits()
    return (digits.images / 16).astype(np.float32), digits.target.astype(np.int64)
