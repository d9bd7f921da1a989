"""Bounding boxes of polygons, ellipses and brush strokes, as stored by Label Studio."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .geometry import PERCENT, GeometryError, Rectangle, from_percent

BOXABLE = ("polygon", "ellipse", "brush")
"""Shapes with known bounding boxes."""

_CHANNELS = 4
_MIN_POINTS = 3


def shape_box(kind: str, result: Mapping[str, Any], width: int, height: int) -> Rectangle:
    """Return the smallest upright box around a shape.

    Args:
        kind: one of `BOXABLE`.
        result: as sent by the server.
        width: of the upright image, in pixels.
        height: of the upright image, in pixels.

    Raises:
        GeometryError: if it is not such a shape, or has no area inside the image.
    """
    value = result.get("value")
    if not isinstance(value, Mapping):
        raise GeometryError(f"{kind} without a place")
    if kind == "polygon":
        left, top, right, bottom = _around_points(value.get("points"))
    elif kind == "ellipse":
        left, top, right, bottom = _around_ellipse(value, width / height)
    else:
        left, top, right, bottom = _around_strokes(value, result)
    place = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    return from_percent(place, width, height)


def _around_points(points: object) -> tuple[float, float, float, float]:
    if not isinstance(points, Sequence) or len(points) < _MIN_POINTS:
        raise GeometryError("polygon without points")
    try:
        xs, ys = ([float(point[axis]) for point in points] for axis in (0, 1))
    except (TypeError, ValueError, IndexError, KeyError):
        raise GeometryError("polygon whose points are not pairs of numbers") from None
    if not all(map(math.isfinite, (*xs, *ys))):
        raise GeometryError("polygon whose points are not finite")
    return min(xs), min(ys), max(xs), max(ys)


def _around_ellipse(value: Mapping[str, Any], ratio: float) -> tuple[float, float, float, float]:
    """Return the box in percent; radii are percent of the width and the height."""
    numbers = [value.get(key) for key in ("x", "y", "radiusX", "radiusY")]
    numbers.append(value.get("rotation") or 0.0)
    if not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
        raise GeometryError("ellipse without a place")
    x, y, across, down, rotation = (float(n) for n in numbers if n is not None)
    cosine, sine = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    # Rotated in pixels, where both axes have the same scale.
    half_width = math.hypot(across * ratio * cosine, down * sine) / ratio
    half_height = math.hypot(across * ratio * sine, down * cosine)
    return x - half_width, y - half_height, x + half_width, y + half_height


def _around_strokes(
    value: Mapping[str, Any], result: Mapping[str, Any]
) -> tuple[float, float, float, float]:
    """Return the box of a run-length encoded mask, at the size at which it was drawn."""
    import numpy as np
    from label_studio_sdk.converter.brush import decode_rle

    width, height, rle = result.get("original_width"), result.get("original_height"), None
    if value.get("format") == "rle":
        rle = value.get("rle")
    try:
        packed = bytes(rle or ())
    except (TypeError, ValueError):
        packed = b""
    if not (isinstance(width, int) and isinstance(height, int) and packed):
        raise GeometryError("brush without strokes")
    # Its stated size is checked before anything is decompressed.
    if int.from_bytes(packed[:4], "big") != width * height * _CHANNELS:
        raise GeometryError("brush of another size than its image")
    try:
        mask = decode_rle(list(packed)).reshape(height, width, _CHANNELS)[:, :, -1] > 0
    except (ValueError, IndexError):
        raise GeometryError("brush that can't be unpacked") from None
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        raise GeometryError("brush without strokes")
    across, down = PERCENT / width, PERCENT / height
    return (
        float(columns[0]) * across,
        float(rows[0]) * down,
        float(columns[-1] + 1) * across,
        float(rows[-1] + 1) * down,
    )
