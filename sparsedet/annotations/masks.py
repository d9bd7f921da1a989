"""Bounding boxes of COCO segmentations: polygons or run-length masks."""

from typing import Any

from sparsedet.annotations.entries import is_finite
from sparsedet.annotations.model import XYXY


def mask_bounds(segmentation: Any, size: tuple[int, int]) -> XYXY | None:
    """Return the XYXY box around a segmentation, in absolute pixels; None if it is empty.

    Args:
        segmentation: polygons, or run lengths: a list, or COCO's compressed text.
        size: (width, height) of the image, which a mask must have, too.
    """
    if isinstance(segmentation, list):
        return _polygon_bounds(segmentation)
    if isinstance(segmentation, dict):
        return _run_bounds(segmentation, size)
    return None


def _polygon_bounds(polygons: list[Any]) -> XYXY | None:
    flat = polygons if polygons and not isinstance(polygons[0], list) else None
    xs: list[float] = []
    ys: list[float] = []
    for polygon in [flat] if flat is not None else polygons:
        if not isinstance(polygon, list) or len(polygon) % 2 or not all(map(is_finite, polygon)):
            return None
        xs += polygon[::2]
        ys += polygon[1::2]
    return (float(min(xs)), float(min(ys)), float(max(xs)), float(max(ys))) if xs else None


def _run_bounds(runs: dict[str, Any], size: tuple[int, int]) -> XYXY | None:
    from pycocotools import mask

    width, height = size
    counts = runs.get("counts")
    if runs.get("size") != [height, width]:
        return None
    try:
        if isinstance(counts, list):
            if sum(counts) != width * height or min(counts) < 0:
                return None
            compressed = mask.frPyObjects(
                {"counts": counts, "size": [height, width]}, height, width
            )
        elif isinstance(counts, str):
            compressed = {"counts": counts.encode("ascii"), "size": [height, width]}
        else:
            return None
        left, top, wide, high = (float(value) for value in mask.toBbox(compressed))
    except (TypeError, ValueError, UnicodeEncodeError):
        return None
    if min(wide, high) <= 0:
        return None
    return left, top, left + wide, top + high
