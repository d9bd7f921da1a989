"""Images cut together from others, and detections on them taken apart again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from sparsedet.annotations import Box, Dataset, Image, read_image
from sparsedet.mining.detections import Detections
from sparsedet.seeds import stable_rank

_STREAM = "mosaic"
_SEED = 1
_GREY = 127
_QUALITY = 95


@dataclass(frozen=True)
class Piece:
    """An image in a mosaic."""

    image: Image
    left: int
    top: int


@dataclass(frozen=True)
class Mosaic:
    """A picture of several images, each in a cell of its own."""

    image: Image
    """The whole picture."""
    pieces: Sequence[Piece]


def arrange(dataset: Dataset, side: int) -> list[Mosaic]:
    """Arrange images in squares of `side` times `side`, the same ones each time.

    Cells are as large as the largest image of their mosaic; cells of the last one may be empty.
    """
    ranked = sorted(dataset.images, key=lambda image: stable_rank(_SEED, _STREAM, image.file_name))
    mosaics = []
    for number, start in enumerate(range(0, len(ranked), side**2), start=1):
        group = ranked[start : start + side**2]
        width, height = max(i.width for i in group), max(i.height for i in group)
        pieces = [
            Piece(image, place % side * width, place // side * height)
            for place, image in enumerate(group)
        ]
        whole = Image(number, f"mosaic{number:04}.jpg", side * width, side * height)
        mosaics.append(Mosaic(whole, pieces))
    return mosaics


def annotated(mosaics: Sequence[Mosaic], dataset: Dataset) -> Dataset:
    """Return the mosaics with the boxes of their images."""
    boxes: list[Box] = []
    for mosaic in mosaics:
        for piece in mosaic.pieces:
            for box in dataset.boxes_by_image[piece.image.id]:
                move = (piece.left, piece.top, piece.left, piece.top)
                left, top, right, bottom = np.add(box.xyxy, move).tolist()
                moved = replace(box, image_id=mosaic.image.id, xyxy=(left, top, right, bottom))
                boxes.append(replace(moved, id=len(boxes) + 1))
    images = tuple(mosaic.image for mosaic in mosaics)
    return Dataset(images, tuple(boxes), dataset.categories)


def draw(mosaics: Sequence[Mosaic], images: Path, folder: Path) -> None:
    """Write the mosaics' files into `folder`; `images` has those of their images."""
    folder.mkdir(parents=True, exist_ok=True)
    for mosaic in mosaics:
        size = mosaic.image.height, mosaic.image.width, 3
        canvas = np.full(size, _GREY, dtype=np.uint8)
        for piece in mosaic.pieces:
            rows = slice(piece.top, piece.top + piece.image.height)
            columns = slice(piece.left, piece.left + piece.image.width)
            canvas[rows, columns] = read_image(piece.image, images)
        file = folder / mosaic.image.file_name
        cv2.imwrite(str(file), canvas, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])


def taken_apart(mosaics: Sequence[Mosaic], found: Sequence[Detections]) -> list[Detections]:
    """Return detections on mosaics as those of their images: where the middle of each box lies.

    Boxes are clipped to their image; those in the middle of nothing are left out.
    """
    by_mosaic = {one.image_id: one for one in found}
    parts = []
    for mosaic in mosaics:
        own = by_mosaic[mosaic.image.id]
        middles = (own.boxes[:, :2] + own.boxes[:, 2:]) / 2
        for piece in mosaic.pieces:
            corner = np.array([piece.left, piece.top], dtype=np.float64)
            size = np.array([piece.image.width, piece.image.height], dtype=np.float64)
            inside = np.all((middles >= corner) & (middles < corner + size), axis=1)
            part = own.select(np.asarray(inside))
            boxes = (part.boxes - np.tile(corner, 2)).clip(0, np.tile(size, 2))
            parts.append(replace(part, image_id=piece.image.id, boxes=boxes))
    return parts
