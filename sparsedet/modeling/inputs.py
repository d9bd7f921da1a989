"""From an image file to the network's input: decoding, resizing, colour order and layout."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparsedet.annotations import Image, read_image
from sparsedet.modeling.tiles import Tile

UInt8Image = NDArray[np.uint8]
"""Shape (H, W, 3)."""
_Key = tuple[Path, Tile | None, int, int]
"""A file, its tile (None: the whole image), and the height and width of the cached pixels."""


def network_size(height: int, width: int, short_side: int, max_size: int) -> tuple[int, int]:
    """Return (height, width) with the shorter side `short_side`, the longer at most `max_size`."""
    scale = min(short_side / min(height, width), max_size / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize(image: UInt8Image, height: int, width: int) -> UInt8Image:
    """Resize; shrinking averages areas, which keeps thin structures visible."""
    shrinks = height < image.shape[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), np.uint8)


def to_tensor(image: UInt8Image, colour_order: str) -> Tensor:
    """Return a BGR image as uint8 tensor of shape (3, H, W) in `colour_order` (RGB or BGR)."""
    planes = np.empty((3, *image.shape[:2]), dtype=np.uint8)
    ordered = planes[::-1] if colour_order == "RGB" else planes
    cv2.split(image, list(ordered))
    return torch.from_numpy(planes)


@dataclass(frozen=True, slots=True)
class InferenceInput:
    """Image preprocessing at test time."""

    short_side: int
    """Shorter side in pixels, unless `max_size` limits it."""
    max_size: int
    """Pixels."""
    colour_order: str
    """RGB or BGR."""

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) of the network's input for an image of `height` and `width`."""
        return network_size(height, width, self.short_side, self.max_size)

    def of(self, image: UInt8Image) -> dict[str, Any]:
        """Return detectron2's input for one BGR image; detections are in the image's own pixels."""
        height, width = image.shape[:2]
        return self.of_resized(resize(image, *self.size(height, width)), height, width)

    def of_resized(self, resized: UInt8Image, height: int, width: int) -> dict[str, Any]:
        """Return the input for a resized BGR image of original `height` and `width`."""
        return {"image": to_tensor(resized, self.colour_order), "height": height, "width": width}


class PixelCache:
    """A cache of decoded images; images beyond its size are decoded each time.

    Training and mining share it, so that no stage decodes an image again.
    """

    def __init__(self, limit: int) -> None:
        """Create a cache of at most `limit` bytes of pixels; 0 disables it."""
        self.limit = limit
        self.bytes = 0
        """Total size in bytes."""
        self._images: dict[_Key, UInt8Image] = {}

    def read(
        self,
        image: Image,
        folder: Path,
        size: tuple[int, int],
        *,
        tile: Tile | None = None,
        keep_resized: bool = True,
    ) -> UInt8Image:
        """Return an image's BGR pixels; don't modify them. See `read_views`."""
        views = [(tile, size)]
        return self.read_views(image, folder, views, keep_resized=keep_resized)[0]

    def read_views(
        self,
        image: Image,
        folder: Path,
        views: Sequence[tuple[Tile | None, tuple[int, int]]],
        *,
        keep_resized: bool = True,
    ) -> list[UInt8Image]:
        """Return the BGR pixels of views of an image, which is decoded at most once.

        The result is the same whether cached or not.

        Args:
            image: the image.
            folder: the folder of its file.
            views: each a tile, or None for the whole image, and the height and width to resize it
                to.
            keep_resized: whether to cache the resized views, for callers that always request the
                same ones, or the decoded image.

        Raises:
            AnnotationError: naming the image, when it can't be decoded.
        """
        path = folder / image.file_name
        whole: _Key = (path, None, image.height, image.width)
        decoded = self._images.get(whole)
        fresh = False
        found = []
        for tile, size in views:
            key = (path, tile, *size)
            pixels = self._images.get(key)
            if pixels is None:
                if decoded is None:
                    decoded, fresh = read_image(image, folder), True
                pixels = resize(_cut(decoded, tile), *size)
                if fresh and keep_resized:
                    self._keep(key, pixels)
            found.append(pixels)
        if fresh and not keep_resized and decoded is not None:
            self._keep(whole, decoded)
        return found

    def clear(self) -> None:
        """Clear the cache."""
        self._images.clear()
        self.bytes = 0

    def _keep(self, key: _Key, pixels: UInt8Image) -> None:
        if self.bytes + pixels.nbytes <= self.limit:
            self._images[key] = pixels
            self.bytes += pixels.nbytes


def _cut(image: UInt8Image, tile: Tile | None) -> UInt8Image:
    return image if tile is None else image[tile.top : tile.bottom, tile.left : tile.right]
