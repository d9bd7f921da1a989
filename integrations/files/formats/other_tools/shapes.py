"""Bounding boxes of shapes: polygons, rotated rectangles, ellipses."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sparsedet.annotations import XYXY
from sparsedet.annotations.faults import NO_BOX, FaultyEntryError
from sparsedet.errors import AnnotationError
from sparsedet.reading import quoted
from sparsedet.wording import counted

from ..conversion import LabelledBox
from ..yolo_labels import polygon_area

Point = tuple[float, float]
"""x, y in absolute pixels."""

_FEWEST = 3
"""Points of an outline."""


def number(value: object, what: str, where: str) -> float:
    """Parse a number, given as number or text.

    Raises:
        AnnotationError: if it is not a finite number.
    """
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        found = float(value)
        if not math.isfinite(found):
            raise ValueError
    except (ValueError, OverflowError):
        raise AnnotationError(f"{where}: {what} is {quoted(value)}, expected a number") from None
    return found


def points(values: object, where: str) -> list[Point]:
    """Return the points of a list of pairs.

    Raises:
        AnnotationError: if it is not such a list.
    """
    pairs: list[Any] = values if isinstance(values, list) else []
    if not pairs or not all(isinstance(pair, list) and len(pair) >= 2 for pair in pairs):
        raise AnnotationError(f"{where}: its points are {quoted(values)}, expected [x, y] pairs")
    return [(number(pair[0], "x", where), number(pair[1], "y", where)) for pair in pairs]


def hull(corners: Iterable[Point]) -> XYXY:
    """Return the upright bounding box of points."""
    xs, ys = zip(*corners, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def outlined(
    category: str, outline: Sequence[Point], extra: Mapping[str, Any], where: str
) -> LabelledBox:
    """Return the bounding box of an outline, which becomes COCO's `segmentation`.

    Raises:
        AnnotationError: if there are too few points.
    """
    if len(outline) < _FEWEST:
        points = counted(len(outline), "point")
        raise AnnotationError(f"{where}: an outline of {points}, expected 3 or more")
    flat = [value for point in outline for value in point]
    area = polygon_area(flat)
    keys = {**extra, "segmentation": [flat]} if area > 0 else extra
    return LabelledBox(category, hull(outline), area or None, keys)


def turned(xyxy: XYXY, degrees: float, about: Point) -> list[Point]:
    """Return the corners of a rectangle rotated clockwise, as seen on screen.

    Args:
        xyxy: the unrotated rectangle, in absolute pixels.
        degrees: angle of the rotation.
        about: center of the rotation.
    """
    left, top, right, bottom = xyxy
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    if degrees % 360 == 0:  # exact, without the noise of sine and cosine
        return corners
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    moved = [(x - about[0], y - about[1]) for x, y in corners]
    return [(about[0] + x * cosine - y * sine, about[1] + x * sine + y * cosine) for x, y in moved]


def ellipse(center: Point, radii: Point, degrees: float = 0.0) -> XYXY:
    """Return the bounding box of an ellipse rotated clockwise about its center.

    Args:
        center: absolute pixels.
        radii: along x and y before the rotation, in pixels.
        degrees: angle of the rotation.
    """
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    across = math.hypot(radii[0] * cosine, radii[1] * sine)
    down = math.hypot(radii[0] * sine, radii[1] * cosine)
    return center[0] - across, center[1] - down, center[0] + across, center[1] + down


def no_box(kind: str, where: str) -> FaultyEntryError:
    """Return the error for a shape without a bounding box."""
    return FaultyEntryError(NO_BOX, f"{where}: is a {kind}, which has no box")
