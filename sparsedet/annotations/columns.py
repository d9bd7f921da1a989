"""Bulk reading of a COCO file's images and annotations: a million entries in about a second.

Columns show whether every entry is valid, but not what is wrong with one. For that, entries are
read one by one (see `entries`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress, starmap
from typing import Any

import numpy as np

from sparsedet.annotations.entries import IMAGE_KEYS, ROUNDING, THINNEST, may_leave_folder, xywh
from sparsedet.annotations.model import Image
from sparsedet.annotations.table import BoxTable, FloatArray, IntArray

_NUMBERS = {int, float}
_NONE: frozenset[int] = frozenset()
_BEYOND = 2.0**63
"""Larger numbers need a closer look, integer or not."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The annotations of a valid file."""

    table: BoxTable
    clipped: list[int]
    """Ids of boxes that extended beyond their image."""
    empty: list[int]
    """Ids of annotations left out for their declared area of 0."""


def read_images(entries: Sequence[Any]) -> tuple[Image, ...] | None:
    """Return the images of COCO entries, or None if one of them needs a closer look."""
    if set(map(type, entries)) != {dict}:
        return None
    ids = [entry.get("id") for entry in entries]
    names = [entry.get("file_name") for entry in entries]
    widths = [entry.get("width") for entry in entries]
    heights = [entry.get("height") for entry in entries]
    if any(_integers(column) is None for column in (ids, widths, heights)):
        return None
    if min(min(widths), min(heights)) <= 0:
        return None
    if set(map(type, names)) != {str} or may_leave_folder(names):
        return None
    if not len(entries) == len(set(ids)) == len(set(names)):
        return None
    marks = [entry.get("exhaustive") is True for entry in entries]
    classes = _complete_classes(entries)
    if classes is None:
        return None
    tool = _tool_columns(entries)
    columns = ids, names, widths, heights, marks, *tool, _unknown(entries), classes
    return tuple(starmap(Image, zip(*columns, strict=True)))


def read_columns(
    entries: Sequence[Any], sizes: Mapping[int, tuple[int, int]], category_ids: set[int]
) -> Columns | None:
    """Return the boxes of COCO entries, or None if one of them needs a closer look.

    Args:
        entries: The file's `annotations`.
        sizes: Width and height of its images by id.
        category_ids: The ids of its categories.
    """
    if set(map(type, entries)) != {dict}:
        return None
    ids = _integers([entry.get("id") for entry in entries])
    image_ids = _integers([entry.get("image_id") for entry in entries])
    categories = _integers([entry.get("category_id") for entry in entries])
    xywhs = _boxes([entry.get("bbox") for entry in entries])
    areas = _areas([entry.get("area") for entry in entries])
    crowd = [entry.get("iscrowd", 0) for entry in entries]
    if ids is None or image_ids is None or categories is None or xywhs is None or areas is None:
        return None
    if len(np.unique(ids)) != len(ids) or not set(categories.tolist()) <= category_ids:
        return None
    edges = _edges(image_ids, sizes)
    if edges is None or set(map(type, crowd)) != {int} or not set(crowd) <= {0, 1}:
        return None

    empty = (areas == 0) & (xywhs[:, 2:].min(axis=1) == 0)
    right_bottom = xywhs[:, :2] + xywhs[:, 2:]
    xyxy = np.concatenate((np.maximum(xywhs[:, :2], 0.0), np.minimum(right_bottom, edges)), axis=1)
    thinnest = np.minimum(xywhs[:, 2:], xyxy[:, 2:] - xyxy[:, :2]).min(axis=1)
    if (thinnest[~empty] < THINNEST).any():
        return None
    over = np.maximum(xyxy[:, :2] - xywhs[:, :2], right_bottom - xyxy[:, 2:]).max(axis=1)
    clipped = (over > ROUNDING) & ~empty
    sources = list(entries)
    for row in np.flatnonzero(clipped).tolist():
        left, top, right, bottom = xyxy[row].tolist()
        sources[row] = {**sources[row], "bbox": xywh((left, top, right, bottom))}
    table = BoxTable(ids, image_ids, categories, xyxy, np.array(crowd, dtype=np.bool_), sources)
    return Columns(
        table=table.select(~empty) if empty.any() else table,
        clipped=list(compress(ids.tolist(), clipped.tolist())),
        empty=list(compress(ids.tolist(), empty.tolist())),
    )


def _tool_columns(entries: Sequence[dict[str, Any]]) -> Iterator[list[str | None]]:
    for key in ("tool_id", "tool_version"):
        values = [entry.get(key) for entry in entries]
        yield [None if value is None else str(value) for value in values]


def _complete_classes(entries: Sequence[dict[str, Any]]) -> list[frozenset[int]] | None:
    values = [entry.get("complete_classes") or [] for entry in entries]
    if set(map(type, values)) != {list}:
        return None
    flat = list(chain.from_iterable(values))
    if flat and _integers(flat) is None:
        return None
    return [frozenset(value) if value else _NONE for value in values]


def _unknown(entries: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the unknown keys of every image."""
    # Most entries of a file have the same keys, so compute the unknown ones once per key set.
    unknown: dict[tuple[str, ...], list[str]] = {}
    for entry in entries:
        keys = tuple(entry)
        if keys not in unknown:
            unknown[keys] = [key for key in keys if key not in IMAGE_KEYS]
        yield {key: entry[key] for key in unknown[keys]}


def _integers(values: list[Any]) -> IntArray | None:
    if set(map(type, values)) != {int}:
        return None
    try:
        return np.array(values, dtype=np.int64)
    except OverflowError:
        return None


def _boxes(values: list[Any]) -> FloatArray | None:
    """Return an array of shape (N, 4)."""
    if set(map(type, values)) != {list} or set(map(len, values)) != {4}:
        return None
    flat = list(chain.from_iterable(values))
    if not set(map(type, flat)) <= _NUMBERS:
        return None
    boxes = _floats(flat)
    return None if boxes is None else boxes.reshape(-1, 4)


def _areas(values: list[Any]) -> FloatArray | None:
    """Return an array of shape (N,); NaN if an entry has no area."""
    if not set(map(type, values)) <= {*_NUMBERS, type(None)}:
        return None
    given = _floats([value for value in values if value is not None])
    if given is None or (given < 0).any():
        return None
    return np.array(values, dtype=np.float64)


def _floats(values: list[Any]) -> FloatArray | None:
    try:
        floats = np.array(values, dtype=np.float64)
    except OverflowError:
        return None
    # The comparison is also false for NaN.
    return floats if (np.abs(floats) < _BEYOND).all() else None


def _edges(image_ids: IntArray, sizes: Mapping[int, tuple[int, int]]) -> FloatArray | None:
    """Return the width and height of each box's image, shape (N, 2)."""
    if not sizes:
        return None
    known = np.fromiter(sizes, dtype=np.int64, count=len(sizes))
    order = np.argsort(known)
    places = np.minimum(np.searchsorted(known[order], image_ids), len(known) - 1)
    rows = order[places]
    if not (known[rows] == image_ids).all():
        return None
    edges: FloatArray = np.array(list(sizes.values()), dtype=np.float64)[rows]
    return edges
