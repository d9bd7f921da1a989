"""Boxes in columns: storage and computation for datasets of a million boxes."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from sparsedet.annotations.entries import box_of_entry
from sparsedet.annotations.model import Box

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
RankArray = npt.NDArray[np.uint64]

Source = Box | Mapping[str, Any]
"""The origin of a row: a `Box`, or a COCO entry that needed no repair."""


@dataclass(frozen=True, eq=False)
class BoxTable(Sequence[Box]):
    """A dataset's boxes in columns; also a read-only sequence of `Box`.

    The `Box` objects are created when the first one is requested.
    """

    ids: IntArray
    """Shape (N,)."""
    image_ids: IntArray
    """Shape (N,)."""
    category_ids: IntArray
    """Shape (N,)."""
    xyxy: FloatArray
    """Shape (N, 4), absolute pixels of the upright image."""
    iscrowd: BoolArray
    """Shape (N,)."""
    sources: Sequence[Source]
    """What the columns don't hold."""

    @classmethod
    def of(cls, boxes: Sequence[Box]) -> "BoxTable":
        """Return boxes as a table; a table is returned unchanged."""
        if isinstance(boxes, BoxTable):
            return boxes
        return cls(
            ids=np.array([box.id for box in boxes], dtype=np.int64),
            image_ids=np.array([box.image_id for box in boxes], dtype=np.int64),
            category_ids=np.array([box.category_id for box in boxes], dtype=np.int64),
            xyxy=np.array([box.xyxy for box in boxes], dtype=np.float64).reshape(-1, 4),
            iscrowd=np.array([box.iscrowd for box in boxes], dtype=np.bool_),
            sources=boxes,
        )

    def select(self, chosen: BoolArray) -> "BoxTable":
        """Return the rows where `chosen` (shape (N,)) is true, in order."""
        return BoxTable(
            ids=self.ids[chosen],
            image_ids=self.image_ids[chosen],
            category_ids=self.category_ids[chosen],
            xyxy=self.xyxy[chosen],
            iscrowd=self.iscrowd[chosen],
            sources=list(compress(self.sources, chosen.tolist())),
        )

    def on_images(self, ids: Collection[int]) -> "BoxTable":
        """Return the rows on the images with these ids, in order."""
        return self.select(np.isin(self.image_ids, np.fromiter(ids, dtype=np.int64)))

    @cached_property
    def rows(self) -> tuple[Box, ...]:
        """The boxes as objects."""
        columns = zip(self.sources, self.xyxy.tolist(), self.iscrowd.tolist(), strict=True)
        return tuple(
            source if isinstance(source, Box) else box_of_entry(source, tuple(xyxy), iscrowd)
            for source, xyxy, iscrowd in columns
        )

    def __len__(self) -> int:
        return len(self.sources)

    @overload
    def __getitem__(self, index: int) -> Box: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Box, ...]: ...
    def __getitem__(self, index: int | slice) -> Box | tuple[Box, ...]:
        return self.rows[index]

    def __iter__(self) -> Iterator[Box]:
        return iter(self.rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and self.rows == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # as a list: compared by content
