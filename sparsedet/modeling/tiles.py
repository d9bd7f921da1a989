"""Large images in overlapping tiles, so that small objects stay detectable.

Following Akyon et al., "Slicing Aided Hyper Inference and Fine-Tuning for Small Object Detection"
(ICIP 2022): train and detect on tiles and on the whole image, and keep the best detection of each
object.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations.matching import SAME_OBJECT_IOU, covered_share, iou_matrix

_OVERLAP = 0.2
"""Minimum share of a tile that a neighbour also covers: objects of this size fit into one tile."""
_PART_SHARE = 0.6
"""Coverage by another box from which a box cut off by a tile's edge is a part of it."""
_EDGE = 2.0
"""Pixels: a box this close to a tile's inner edge is cut off by it."""


class Tile(NamedTuple):
    """A region of an image: XYXY in whole pixels."""

    left: int
    top: int
    right: int
    bottom: int


def tiles_of(width: int, height: int, side: int) -> list[Tile]:
    """Return square tiles that cover an image, row by row; a single one for a small image.

    Args:
        width: of the image, pixels.
        height: of the image, pixels.
        side: of a tile, pixels; smaller images have smaller tiles.
    """
    return [
        Tile(left, top, min(left + side, width), min(top + side, height))
        for top in _starts(height, side)
        for left in _starts(width, side)
    ]


def views_of(width: int, height: int, side: int) -> list[Tile | None]:
    """Return the views of an image in training and detection: None for the whole, then its tiles.

    Args:
        width: of the image, pixels.
        height: of the image, pixels.
        side: of a tile, pixels; 0, or an image no larger than a tile: no tiles.
    """
    whole = Tile(0, 0, width, height)
    tiles = tiles_of(width, height, side) if side else []
    return [None, *(tile for tile in tiles if tile != whole)]


def _starts(length: int, side: int) -> list[int]:
    """Return tile starts along one axis: evenly spaced, the last tile ends at the end."""
    if length <= side:
        return [0]
    count = int(np.ceil((length - side) / (side * (1 - _OVERLAP)))) + 1
    return [int(start) for start in np.linspace(0, length - side, count).round()]


def is_cut(boxes: NDArray[np.float64], tile: Tile, width: int, height: int) -> NDArray[np.bool_]:
    """Return which boxes of a tile end at an edge inside the image, shape (N,).

    Args:
        boxes: shape (N, 4): XYXY in pixels of the image.
        tile: the tile.
        width: of the image.
        height: of the image.
    """
    left, top, right, bottom = boxes.T
    return np.asarray(
        ((tile.left > 0) & (left < tile.left + _EDGE))
        | ((tile.top > 0) & (top < tile.top + _EDGE))
        | ((tile.right < width) & (right > tile.right - _EDGE))
        | ((tile.bottom < height) & (bottom > tile.bottom - _EDGE))
    )


def merge(
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    classes: NDArray[np.int64],
    cut: NDArray[np.bool_],
    views: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return the indices of detections to keep over all views, in descending order of score.

    Complete boxes come before cut ones. A box is dropped if a kept one of its class from another
    view has an IoU of 0.5 with it, or, if it is cut, covers most of it. Boxes of one view are
    different objects: its NMS, which may allow for crowds, has decided that.

    Args:
        boxes: shape (N, 4): XYXY in pixels of the image.
        scores: shape (N,).
        classes: shape (N,).
        cut: shape (N,); see `is_cut`.
        views: shape (N,): number of the view that shows the box.
    """
    order = np.lexsort((-scores, cut))
    kept: list[int] = []
    for number in np.unique(classes):
        own = order[classes[order] == number]
        same = iou_matrix(boxes[own], boxes[own]) >= SAME_OBJECT_IOU
        part = covered_share(boxes[own], boxes[own]) >= _PART_SHARE
        elsewhere = views[own, None] != views[own]
        shown = (same | (part & cut[own, None])) & elsewhere
        stays: list[int] = []
        for row in range(len(own)):
            if not shown[row, stays].any():
                stays.append(row)
        kept += own[stays].tolist()
    return np.array(sorted(kept, key=lambda index: -scores[index]), dtype=np.int64)
