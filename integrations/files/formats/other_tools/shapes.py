"""Shapes that people draw, as boxes: polygons, turned rectangles, ellipses."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sparsedet.annotations import XYXY
from sparsedet.annotations.faults import NO_BOX, FaultyEntryError
from sparsedet.errors import AnnotationError
from sparsedet.reading import quoted

from ..conversion import LabelledBox
from ..yolo_labels import polygon_area

Point = tuple[float, float]
"""x, y in absolute pixels."""

_FEWEST = 3
"""Points of an outline."""


def number(value: object, what: str, where: str) -> float:
    """Return a number that a file has as one, or as text.

    Raises:
        AnnotationError: when it is none, or not finite.
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
        AnnotationError: when it is no such list.
    """
    pairs: list[Any] = values if isinstance(values, list) else []
    if not pairs or not all(isinstance(pair, list) and len(pair) >= 2 for pair in pairs):
        raise AnnotationError(f"{where}: its points are {quoted(values)}, expected [x, y] pairs")
    return [(number(pair[0], "x", where), number(pair[1], "y", where)) for pair in pairs]


def hull(corners: Iterable[Point]) -> XYXY:
    """Return the upright box around points."""
    xs, ys = zip(*corners, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def outlined(
    category: str, outline: Sequence[Point], extra: Mapping[str, Any], where: str
) -> LabelledBox:
    """Return the box around an outline, which it keeps as COCO's `segmentation`.

    Raises:
        AnnotationError: when there are too few points for an outline.
    """
    if len(outline) < _FEWEST:
        raise AnnotationError(f"{where}: an outline of {len(outline)} points, expected 3 or more")
    flat = [value for point in outline for value in point]
    area = polygon_area(flat)
    keys = {**extra, "segmentation": [flat]} if area > 0 else extra
    return LabelledBox(category, hull(outline), area or None, keys)


def turned(xyxy: XYXY, degrees: float, about: Point) -> list[Point]:
    """Return the corners of a rectangle that is turned clockwise, as seen on screen.

    Args:
        xyxy: the rectangle before it is turned, in absolute pixels.
        degrees: of the turn.
        about: the point that stays.
    """
    left, top, right, bottom = xyxy
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    if degrees % 360 == 0:  # exact, without the noise of sine and cosine
        return corners
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    moved = [(x - about[0], y - about[1]) for x, y in corners]
    return [(about[0] + x * cosine - y * sine, about[1] + x * sine + y * cosine) for x, y in moved]


def ellipse(center: Point, radii: Point, degrees: float = 0.0) -> XYXY:
    """Return the box around an ellipse that is turned clockwise about its center.

    Args:
        center: absolute pixels.
        radii: along x and y before it is turned, in pixels.
        degrees: of the turn.
    """
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    across = math.hypot(radii[0] * cosine, radii[1] * sine)
    down = math.hypot(radii[0] * sine, radii[1] * cosine)
    return center[0] - across, center[1] - down, center[0] + across, center[1] + down


def no_box(kind: str, where: str) -> FaultyEntryError:
    """Return the error of a shape around which there is no box."""
    return FaultyEntryError(NO_BOX, f"{where}: is a {kind}, which has no box")
