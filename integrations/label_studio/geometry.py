"""Rectangles in percent of the image, as Label Studio stores them, to XYXY pixels and back."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparsedet.annotations import XYXY

PERCENT = 100.0
TOLERANCE = 0.01
"""Pixels by which rounding may push a box over the edge of its image."""


class GeometryError(Exception):
    """A rectangle that can't become a box; the message is a reason to count by."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A rectangle converted to a box."""

    xyxy: XYXY
    """XYXY in absolute pixels of the upright image, clipped to it."""
    clipped: bool
    """Whether it reached over the image's edge."""
    rotated: bool
    """Whether it was rotated; the box is its upright bounding box."""


def from_percent(value: Mapping[str, Any], width: int, height: int) -> Rectangle:
    """Return the box of a region's `value` on an upright image of `width` x `height` pixels.

    Label Studio rotates a rectangle clockwise by `rotation` degrees about its top left corner.

    Raises:
        GeometryError: if it is not a rectangle or has no area inside the image.
    """
    x, y = (_number(value, key) for key in ("x", "y"))
    across, down = (_number(value, key) for key in ("width", "height"))
    rotation = _number(value, "rotation") if "rotation" in value else 0.0
    if across <= 0 or down <= 0:
        raise GeometryError("no area")
    left, top = x / PERCENT * width, y / PERCENT * height
    box = _hull(left, top, across / PERCENT * width, down / PERCENT * height, rotation)
    inside = (
        max(box[0], 0.0),
        max(box[1], 0.0),
        min(box[2], float(width)),
        min(box[3], float(height)),
    )
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        raise GeometryError("outside the image")
    overhang = max(abs(a - b) for a, b in zip(box, inside, strict=True))
    return Rectangle(inside, clipped=overhang > TOLERANCE, rotated=rotation % 360 != 0)


def to_percent(xyxy: XYXY, width: int, height: int) -> dict[str, float]:
    """Convert an XYXY box in pixels to x, y, width and height in percent of its upright image.

    Args:
        xyxy: absolute pixels.
        width: of the image, in pixels.
        height: of the image, in pixels.

    Raises:
        GeometryError: if the box is not finite, has no area, or leaves the image by more than
            `TOLERANCE`; a smaller overhang is cut off.
    """
    if not all(math.isfinite(edge) for edge in xyxy):
        raise GeometryError("an edge that is not finite")
    left, top, right, bottom = xyxy
    if min(left, top, width - right, height - bottom) < -TOLERANCE:
        raise GeometryError(f"edges outside its image of {width} x {height} pixels")
    left, top = max(left, 0.0), max(top, 0.0)
    right, bottom = min(right, float(width)), min(bottom, float(height))
    if right <= left or bottom <= top:
        raise GeometryError("no area")
    return {
        "x": left / width * PERCENT,
        "y": top / height * PERCENT,
        "width": (right - left) / width * PERCENT,
        "height": (bottom - top) / height * PERCENT,
    }


def _hull(left: float, top: float, width: float, height: float, rotation: float) -> XYXY:
    """Return the upright box around a rectangle that is rotated about its top left corner."""
    if rotation % 360 == 0:  # exact, without the noise of sine and cosine
        return left, top, left + width, top + height
    cosine, sine = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    corners = [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)]
    xs = [left + x * cosine - y * sine for x, y in corners]
    ys = [top + x * sine + y * cosine for x, y in corners]
    return min(xs), min(ys), max(xs), max(ys)


def _number(value: Mapping[str, Any], key: str) -> float:
    if key not in value or value[key] is None:
        raise GeometryError(f"no {key}")
    number = value[key]
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise GeometryError(f"{key} is not a number")
    try:
        finite = math.isfinite(number)
    except OverflowError:  # an integer of hundreds of digits
        finite = False
    if not finite:
        raise GeometryError(f"{key} is not finite")
    return float(number)
