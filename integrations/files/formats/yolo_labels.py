"""The lines of a YOLO label file: read, written, and edited without changing others.

A box is `class cx cy width height`, an object's outline `class x1 y1 x2 y2 x3 y3 ...`; all numbers
except the class are shares of the upright image's width or height.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparsedet.annotations import XYXY
from sparsedet.annotations.entries import DECIMALS
from sparsedet.annotations.faults import BOX_BROKEN, UNKNOWN_CLASS, Faults, FaultyEntryError
from sparsedet.errors import AnnotationError, ToolError
from sparsedet.reading import read_text
from sparsedet.reviews import moved
from sparsedet.wording import counted

Polygon = Sequence[float]
"""x1, y1, x2, y2, ... in absolute pixels, as in COCO's `segmentation`."""

YoloBox = tuple[int, XYXY]
"""Class index and XYXY box in absolute pixels."""

_BEYOND = 0.01
"""How far coordinates may be outside of 0 to 1, as in Ultralytics; boxes are clipped later."""

_BOX_COLUMNS = 5
_POLYGON_COLUMNS = 7
"""Minimum: a class and three points."""

_DIGITS = 10
"""Decimals of shares: 1e-5 pixel on an image of 100,000 pixels."""


@dataclass(frozen=True, slots=True)
class YoloLabel:
    """A line of a label file."""

    index: int
    """Index of the class."""
    xyxy: XYXY
    """XYXY in absolute pixels; may reach a little over the edge."""
    polygon: Polygon | None
    """None for a box, and for an outline that is just the box's corners."""


def read_labels(
    path: Path, names: Mapping[int, str], size: tuple[int, int], faults: Faults
) -> list[YoloLabel]:
    """Read a label file; empty if it does not exist.

    Args:
        path: the file.
        names: the known class indices.
        size: (width, height) of the image.
        faults: records invalid lines.

    Raises:
        AnnotationError: naming file and line.
    """
    if not path.exists() and not path.is_symlink():
        return []
    labels = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        with faults.left_out(BOX_BROKEN, f"{path.name}:{number}"):
            labels.append(parse_label(line, f"{path}:{number}", names, size))
    return labels


def parse_label(
    line: str, where: str, names: Mapping[int, str], size: tuple[int, int]
) -> YoloLabel:
    """Parse a line for an image with (width, height) `size`; `where` is for errors."""
    columns = line.split()
    count = len(columns)
    if count != _BOX_COLUMNS and (count < _POLYGON_COLUMNS or count % 2 == 0):
        raise AnnotationError(
            f"{where}: {counted(count, 'column')}; a box has 5 (class cx cy width height), an "
            "outline 7, 9, 11, ... (class x y x y x y ...)"
        )
    values = [_number(text, where) for text in columns]
    index = int(values[0])
    if index != values[0] or index not in names:
        numbers = f", which are numbered from {min(names)} to {max(names)}" if names else ""
        raise FaultyEntryError(
            UNKNOWN_CLASS,
            f"{where}: class {columns[0]} is not one of the {len(names)} classes{numbers}",
        )
    for text, value in zip(columns[1:], values[1:], strict=True):
        if not -_BEYOND <= value <= 1 + _BEYOND:
            raise AnnotationError(
                f"{where}: coordinate {text} is not between 0 and 1; are these pixels?"
            )
    if count == _BOX_COLUMNS:
        return YoloLabel(index, _box(values[1:], size), None)
    width, height = size
    xs, ys = [x * width for x in values[1::2]], [y * height for y in values[2::2]]
    box = (min(xs), min(ys), max(xs), max(ys))
    points = (
        (min(max(x, 0.0), width), min(max(y, 0.0), height)) for x, y in zip(xs, ys, strict=True)
    )
    polygon = [round(value, DECIMALS) for point in points for value in point]
    return YoloLabel(index, box, None if is_rectangle(polygon) else polygon)


def edit_labels(
    path: Path,
    known: Sequence[YoloBox],
    size: tuple[int, int],
    *,
    removed: Collection[int],
    edited: Mapping[int, YoloBox],
    added: Sequence[YoloBox],
) -> str:
    """Return the content of a file with some boxes changed; it need not exist.

    An outline whose box moved becomes that box.

    Args:
        path: the file.
        known: its boxes as read.
        size: (width, height) of the image.
        removed: indices of boxes in the file, not counting empty lines.
        edited: index -> the changed box. A box that moved by at most `MOVED_PIXELS` keeps its
            numbers.
        added: new boxes, appended at the end.

    Raises:
        ToolError: if the file has changed since it was read.
    """
    text = read_text(path) if path.exists() else ""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) != len(known):
        raise ToolError(f"{path}: changed while it was being merged; run the command again")
    kept: list[str | YoloBox] = []
    for place, line in enumerate(lines):
        if place in removed:
            continue
        if place not in edited:
            kept.append(line)
            continue
        index, xyxy = edited[place]
        numbers = line.split(maxsplit=1)[1]
        kept.append((index, xyxy) if moved(xyxy, known[place][1]) else f"{index} {numbers}")
    kept += added
    outlines = any(isinstance(line, str) and len(line.split()) > _BOX_COLUMNS for line in kept)
    end = "\r\n" if "\r\n" in text else "\n"
    return "".join(
        (line if isinstance(line, str) else _line(line, size, outlines)) + end for line in kept
    )


def format_box(index: int, xyxy: XYXY, size: tuple[int, int]) -> str:
    """Return the line of an XYXY box in pixels, on an image of (width, height) `size`."""
    left, top, right, bottom = xyxy
    width, height = size
    shares = (
        (left + right) / 2 / width,
        (top + bottom) / 2 / height,
        (right - left) / width,
        (bottom - top) / height,
    )
    return " ".join([str(index), *map(_share, shares)])


def format_polygon(index: int, polygon: Polygon, size: tuple[int, int]) -> str:
    """Return the line of an outline in pixels, on an image of (width, height) `size`."""
    shares = (value / size[place % 2] for place, value in enumerate(polygon))
    return " ".join([str(index), *map(_share, shares)])


def corners(xyxy: XYXY) -> Polygon:
    """Return an XYXY box as an outline.

    Ultralytics reads every line of a file as an outline if one of them is.
    """
    left, top, right, bottom = xyxy
    return [left, top, right, top, right, bottom, left, bottom]


def is_rectangle(polygon: Polygon) -> bool:
    """Whether an outline is just the corners of a box."""
    points = set(zip(polygon[::2], polygon[1::2], strict=True))
    xs, ys = {x for x, _ in points}, {y for _, y in points}
    sides = len(polygon) == 8 and len(points) == 4 and len(xs) == 2 and len(ys) == 2
    # In order, so that a bow tie does not count.
    return sides and all(
        polygon[i] == polygon[i - 2] or polygon[i + 1] == polygon[i - 1] for i in (0, 2, 4, 6)
    )


def polygon_area(polygon: Polygon) -> float:
    """Return the area of an outline in square pixels."""
    xs, ys = polygon[::2], polygon[1::2]
    return abs(sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(len(xs)))) / 2


def _line(box: YoloBox, size: tuple[int, int], outlines: bool) -> str:
    """Return a line; among outlines, a box must be one too, see `corners`."""
    index, xyxy = box
    if outlines:
        return format_polygon(index, corners(xyxy), size)
    return format_box(index, xyxy, size)


def _box(values: Sequence[float], size: tuple[int, int]) -> XYXY:
    cx, cy, w, h = values
    width, height = size
    return (
        (cx - w / 2) * width,
        (cy - h / 2) * height,
        (cx + w / 2) * width,
        (cy + h / 2) * height,
    )


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise AnnotationError(f"{where}: {text!r} is not a number")
    return value


def _share(value: float) -> str:
    return f"{value:.{_DIGITS}f}".rstrip("0").rstrip(".")
