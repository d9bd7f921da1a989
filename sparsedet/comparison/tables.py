"""Counts of all and removed boxes: by class, boxes per image, size, position, neighbourhood."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from sparsedet.annotations.table import BoolArray, IntArray
from sparsedet.sparsify.candidates import Candidates
from sparsedet.sparsify.orders import (
    border_distance,
    boxes_in_image,
    class_in_image,
    neighbours,
    quantile,
    relative_area,
    row_number,
)

SMALL, LARGE = 32.0**2, 96.0**2
"""Square pixels: COCO's limits of medium-sized objects."""
COUNTS = (1, 2, 3, 5, 9, 17)
"""Lower bounds of the bins of boxes per image."""
COUNT_LABELS = ("1", "2", "3-4", "5-8", "9-16", "17+")

_TENTHS = 10
_BORDER = (0.002, 0.02, 0.05, 0.1, 0.2, 0.3)
_GRID = tuple(
    f"{down} {across}".replace("middle centre", "centre")
    for down in ("top", "middle", "bottom")
    for across in ("left", "centre", "right")
)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """N boxes in bins."""

    name: str
    """Its name in JSON."""
    title: str
    labels: tuple[str, ...]
    bins: npt.NDArray[np.int16]
    """Shape (N,): the bin of every box, a row of `labels`."""

    def select(self, chosen: BoolArray | npt.NDArray[np.intp]) -> "Table":
        """Return the table of the boxes where `chosen` (shape (N,)) is true, or of these rows."""
        return Table(self.name, self.title, self.labels, self.bins[chosen])

    def counts(self, chosen: BoolArray | None = None) -> IntArray:
        """Return the number of boxes in every bin, of all or of those chosen; shape (bins,)."""
        bins = self.bins if chosen is None else self.bins[chosen]
        counts: IntArray = np.bincount(bins, minlength=len(self.labels))
        return counts


@dataclass(frozen=True, slots=True)
class Row:
    """One bin of a table."""

    label: str
    boxes: int
    removed: int
    low: float
    """Lower bound of the share's 95 % Wilson score interval."""
    share: float
    """The share removed."""
    high: float
    """Upper bound of the interval."""


def make_tables(boxes: Candidates, classes: Sequence[str]) -> list[Table]:
    """Return all tables of the full boxes."""
    centre = (boxes.xyxy[:, :2] + boxes.xyxy[:, 2:]) / 2 / boxes.image_size[boxes.image]
    thirds = np.clip((centre * 3).astype(np.int64), 0, 2)
    area = (boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]).prod(axis=1)
    share = quantile(relative_area(boxes))
    _, group, sizes = np.unique(class_in_image(boxes), return_inverse=True, return_counts=True)
    border = ("touches the edge", *(f"{100 * a:g}-{100 * b:g} %" for a, b in _pairs(_BORDER)))
    tenths = [f"{100 * n // _TENTHS}-{100 * (n + 1) // _TENTHS} %" for n in range(_TENTHS)]
    tenths[0], tenths[-1] = f"smallest {tenths[0][2:]}", f"largest {100 // _TENTHS} %"
    return [
        _table("class", "by class", classes, boxes.category),
        _table(
            "boxes_per_image",
            "by boxes per image",
            COUNT_LABELS,
            _binned(boxes_in_image(boxes), COUNTS[1:]),
        ),
        _table(
            "size",
            "by size (area of the box)",
            ("small: below 32 x 32", "medium", "large: from 96 x 96"),
            _binned(area, (SMALL, LARGE)),
        ),
        _table(
            "share_of_image",
            "by share of the image, in tenths of all boxes",
            tenths,
            np.minimum((share * _TENTHS).astype(np.int64), _TENTHS - 1),
        ),
        _table(
            "border",
            "by distance to the nearest edge, as a share of the image",
            (*border, f"{100 * _BORDER[-1]:g} % and more"),
            _binned(border_distance(boxes), _BORDER),
        ),
        _table("place", "by position of the centre", _GRID, thirds[:, 1] * 3 + thirds[:, 0]),
        _table(
            "neighbours",
            "by number of neighbours",
            ("0", "1", "2", "3-4", "5-8", "9-16", "17+"),
            _binned(neighbours(boxes), (1, 2, 3, 5, 9, 17)),
        ),
        _table(
            "same_class",
            "by boxes of the class in the image",
            COUNT_LABELS,
            _binned(sizes[group], COUNTS[1:]),
        ),
        _table(
            "number_in_row",
            "by number among the boxes of the class in the image, from left to right",
            ("1st", "2nd", "3rd to 4th", "5th to 8th", "9th to 16th", "17th and later"),
            _binned(row_number(boxes) + 1, COUNTS[1:]),
        ),
    ]


def rows(table: Table, removed: BoolArray) -> list[Row]:
    """Return a table's non-empty rows; `removed` has the shape (N,)."""
    found = zip(table.labels, table.counts().tolist(), table.counts(removed).tolist(), strict=True)
    return [make_row(label, boxes, gone) for label, boxes, gone in found if boxes]


def make_row(label: str, boxes: int, removed: int) -> Row:
    """Return the row for `removed` out of `boxes`, which is 1 or more."""
    share, z2 = removed / boxes, 1.96**2
    middle = (share + z2 / (2 * boxes)) / (1 + z2 / boxes)
    half = (z2 * (share * (1 - share) / boxes + z2 / (4 * boxes**2))) ** 0.5 / (1 + z2 / boxes)
    # Near 0 and 1, rounding may put the share just outside.
    return Row(label, boxes, removed, min(middle - half, share), share, max(middle + half, share))


def _table(name: str, title: str, labels: Sequence[str], bins: npt.NDArray[np.integer]) -> Table:
    return Table(name, title, tuple(labels), bins.astype(np.int16))


def _binned(
    values: npt.NDArray[np.floating] | IntArray, starts: Sequence[float]
) -> npt.NDArray[np.integer]:
    return np.searchsorted(np.asarray(starts), values, side="right")


def _pairs(values: Sequence[float]) -> list[tuple[float, float]]:
    return list(pairwise(values))
