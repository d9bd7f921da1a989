"""Images with their boxes drawn in: what people drew, what mining found."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import XYXY, Dataset, read_upright
from sparsedet.files import atomic_path
from sparsedet.mining.mined import MinedBox

HUMAN_COLOUR = (90, 200, 60)
"""BGR, as all colours here: green."""
MINED_COLOUR = (0, 140, 255)
_INK = (255, 255, 255)
_GAP = 8
_SCALE = 2
"""Small images are enlarged by this, so that labels can be read."""
_SMALL = 480


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """A box and what to write on it."""

    xyxy: XYXY
    """Absolute pixels of the image."""
    text: str
    colour: tuple[int, int, int]


def draw_boxes(image: NDArray[np.uint8], boxes: Sequence[DrawnBox]) -> NDArray[np.uint8]:
    """Return a copy of a BGR image, shape (H, W, 3), with boxes; small images come out enlarged."""
    scale = _SCALE if max(image.shape[:2]) <= _SMALL else 1
    size = (image.shape[1] * scale, image.shape[0] * scale)
    canvas: Any = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    for box in boxes:
        left, top, right, bottom = (round(edge * scale) for edge in box.xyxy)
        cv2.rectangle(canvas, (left, top), (right, bottom), box.colour, 2)
        _write(canvas, box.text, (left, top), box.colour)
    return np.asarray(canvas, dtype=np.uint8)


def before_and_after(
    dataset: Dataset, mined: Sequence[MinedBox], folder: Path, count: int
) -> NDArray[np.uint8]:
    """Return one picture: above what people drew, below it with the mined boxes.

    The images shown are those with the most mined boxes.
    """
    by_image: dict[int, list[MinedBox]] = {}
    for box in mined:
        by_image.setdefault(box.image_id, []).append(box)
    chosen = sorted(by_image, key=lambda image_id: (-len(by_image[image_id]), image_id))[:count]
    names = {category.id: category.name for category in dataset.categories}
    columns = []
    for image_id in chosen:
        pixels = read_upright(folder / dataset.image_by_id[image_id].file_name)
        human = [
            DrawnBox(box.xyxy, names[box.category_id], HUMAN_COLOUR)
            for box in dataset.boxes_by_image[image_id]
        ]
        found = [
            DrawnBox(box.xyxy, f"{names[box.category_id]} {box.score:.2f}", MINED_COLOUR)
            for box in by_image[image_id]
        ]
        before, after = draw_boxes(pixels, human), draw_boxes(pixels, [*human, *found])
        columns.append(_stack([before, after], axis=0))
    return _stack(columns, axis=1)


def write_picture(picture: NDArray[np.uint8], path: Path) -> None:
    """Write a BGR picture, atomically, in the format that the path's suffix names."""
    encoded = cv2.imencode(path.suffix, picture)[1]
    with atomic_path(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def _write(canvas: Any, text: str, corner: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """Write above the box's upper left corner, or inside where there is no room above."""
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.45
    (width, height), baseline = cv2.getTextSize(text, font, size, 1)
    x = min(corner[0], canvas.shape[1] - width - 2)
    bottom = corner[1] if corner[1] > height + baseline else corner[1] + height + baseline + 2
    cv2.rectangle(canvas, (x, bottom - height - baseline), (x + width + 2, bottom), colour, -1)
    cv2.putText(canvas, text, (x + 1, bottom - baseline + 1), font, size, _INK, 1, cv2.LINE_AA)


def _stack(pictures: Sequence[NDArray[np.uint8]], axis: int) -> NDArray[np.uint8]:
    """Put pictures below (axis 0) or beside (axis 1) each other, with white gaps."""
    across = 1 - axis
    longest = max(picture.shape[across] for picture in pictures)
    parts: list[NDArray[np.uint8]] = []
    for picture in pictures:
        padding = [(0, 0), (0, 0), (0, 0)]
        padding[across] = (0, longest - picture.shape[across])
        padding[axis] = (0, 0 if picture is pictures[-1] else _GAP)
        parts.append(np.pad(picture, padding, constant_values=255))
    return np.concatenate(parts, axis=axis)
