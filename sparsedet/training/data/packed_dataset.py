"""A training image, and a packed sequence of them: a few arrays, not a million Python objects.

A loader process is a copy of the training process, and shares its memory until one of the two
writes to it. Reading a Python object writes to it: its reference count. So a list of images that
is read in every process is soon copied by all of them, while arrays stay shared. (detectron2 does
this with lists of serialised dictionaries.)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import Image
from sparsedet.modeling.targets import Role
from sparsedet.modeling.tiles import Tile

_LABELS = (Role.LABEL, Role.MINED)
_NAMES = ("utf-8", "surrogatepass")
_WHOLE = (0, 0, 0, 0)
"""Stands for no tile."""


@dataclass(frozen=True, slots=True)
class TrainingImage:
    """An image, or a tile of it, and what training may assume about it."""

    source: Image
    folder: Path
    """The folder of its file."""
    boxes: NDArray[np.float32]
    """Shape (N, 4): XYXY, absolute pixels of the image, or of the tile."""
    classes: NDArray[np.int64]
    """Shape (N,): index into the run's list of classes; for its meaning see `Role`."""
    roles: NDArray[np.int64]
    """Shape (N,): the `Role` of every box."""
    weights: NDArray[np.float32]
    """Shape (N,): how much every box counts in the loss of the classes; less than 1 only for mined
    labels."""
    tile: Tile | None = None
    """What is seen of the image; None: all of it."""

    @property
    def height(self) -> int:
        """Of what is seen, in pixels."""
        return self.tile.bottom - self.tile.top if self.tile else self.source.height

    @property
    def width(self) -> int:
        """Of what is seen, in pixels."""
        return self.tile.right - self.tile.left if self.tile else self.source.width

    @property
    def labels(self) -> NDArray[np.bool_]:
        """Shape (N,): true for labels, including mined ones."""
        return np.isin(self.roles, _LABELS)

    def clipped(
        self, boxes: NDArray[np.float32], roles: NDArray[np.int64], stays: NDArray[np.bool_]
    ) -> "TrainingImage":
        """Return the image with other boxes and roles in place of its own, of which some stay.

        Args:
            boxes: shape (N, 4), XYXY in pixels.
            roles: shape (N,).
            stays: shape (N,).
        """
        return replace(
            self,
            boxes=boxes[stays],
            classes=self.classes[stays],
            roles=roles[stays],
            weights=self.weights[stays],
        )


class PackedDataset(Sequence[TrainingImage]):
    """An immutable sequence of training images.

    Of `TrainingImage.source` only what training needs is kept: `id`, `file_name`, `width`, `height`
    and `exhaustive`. The arrays of its images are read-only views.
    """

    def __init__(self, images: Iterable[TrainingImage]) -> None:
        """Pack images; of an iterator, only one is in memory at a time."""
        folders: dict[Path, int] = {}
        rows: list[tuple[int, ...]] = []
        names, boxes, classes = bytearray(), bytearray(), bytearray()
        roles, weights = bytearray(), bytearray()
        name_lengths, box_counts = [], []
        files = set()
        for image in images:
            source = image.source
            folder = folders.setdefault(image.folder, len(folders))
            size = source.height, source.width
            rows.append((source.id, *size, source.exhaustive, folder, *(image.tile or _WHOLE)))
            files.add((folder, source.file_name))
            name = source.file_name.encode(*_NAMES)
            names += name
            name_lengths.append(len(name))
            boxes += image.boxes.astype(np.float32).tobytes()
            classes += image.classes.astype(np.int64).tobytes()
            roles += image.roles.astype(np.int64).tobytes()
            weights += image.weights.astype(np.float32).tobytes()
            box_counts.append(len(image.boxes))
        self._folders = tuple(folders)
        self._rows = np.array(rows, dtype=np.int64).reshape(-1, 9)
        self._names = _column(names, np.uint8)
        self._name_starts = _starts(name_lengths)
        self._boxes = _column(boxes, np.float32).reshape(-1, 4)
        self._classes = _column(classes, np.int64)
        self._roles = _column(roles, np.int64)
        self._weights = _column(weights, np.float32)
        self._box_starts = _starts(box_counts)
        self.files = len(files)
        """Number of image files: an image and its tiles share one."""

    @classmethod
    def of(cls, images: Sequence[TrainingImage]) -> "PackedDataset":
        """Pack images; packed ones are returned unchanged."""
        return images if isinstance(images, PackedDataset) else cls(images)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> TrainingImage: ...
    @overload
    def __getitem__(self, index: slice) -> "PackedDataset": ...
    def __getitem__(self, index: int | slice) -> "TrainingImage | PackedDataset":
        places = range(len(self))[index]
        if isinstance(places, range):
            return PackedDataset(map(self._image, places))
        return self._image(places)

    def _image(self, index: int) -> TrainingImage:
        id, height, width, exhaustive, folder, *corners = self._rows[index].tolist()
        start, end = self._name_starts[index : index + 2]
        name = self._names[start:end].tobytes().decode(*_NAMES)
        own = slice(*self._box_starts[index : index + 2])
        return TrainingImage(
            source=Image(id, name, width, height, bool(exhaustive)),
            folder=self._folders[folder],
            boxes=self._boxes[own],
            classes=self._classes[own],
            roles=self._roles[own],
            weights=self._weights[own],
            tile=Tile(*corners) if any(corners) else None,
        )

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Height and width of every image, or of what is seen of it, shape (len, 2)."""
        left, top, right, bottom = self._rows[:, 5:].T
        tiles = np.stack([bottom - top, right - left], axis=1)
        return np.where(self.are_whole[:, None], self._rows[:, 1:3], tiles)

    @property
    def are_whole(self) -> NDArray[np.bool_]:
        """Shape (len,): false for tiles."""
        return np.asarray((self._rows[:, 5:] == _WHOLE).all(axis=1))

    def labels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return image index and class of every label, including mined ones; (N,)."""
        places, _, classes = self.rows(*_LABELS)
        return places, classes

    def rows(self, *roles: Role) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return image index, index in the image, and class of every box with these roles; (N,)."""
        counts = np.diff(self._box_starts)
        places = np.repeat(np.arange(len(self)), counts)
        own = np.arange(len(places)) - np.repeat(self._box_starts[:-1], counts)
        chosen = np.isin(self._roles, roles)
        return places[chosen], own[chosen], self._classes[chosen]


def _starts(lengths: Iterable[int]) -> NDArray[np.int64]:
    """Return the start of each consecutive part, and the end of the last one."""
    return np.array([0, *accumulate(lengths)], dtype=np.int64)


def _column(data: bytearray, dtype: Any) -> NDArray[Any]:
    # Backed by bytes, the array is read-only.
    return np.frombuffer(bytes(data), dtype=dtype)
