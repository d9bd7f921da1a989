"""Match boxes by overlap: IoU and one-to-one matching, in numpy."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]

SAME_OBJECT_IOU = 0.5
"""IoU from which two boxes of a class show one object."""


def iou_matrix(boxes: ArrayLike, others: ArrayLike) -> Floats:
    """Return the IoU of every pair: shape (N, M) for XYXY boxes of shapes (N, 4) and (M, 4)."""
    intersection, areas, other_areas = _intersections(boxes, others)
    union = areas[:, None] + other_areas[None, :] - intersection
    ious: Floats = np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
    return ious


def covered_share(boxes: ArrayLike, others: ArrayLike) -> Floats:
    """Return the share of each box's area that each of `others` covers: shape (N, M), XYXY."""
    intersection, areas, _ = _intersections(boxes, others)
    own = np.broadcast_to(areas[:, None], intersection.shape)
    shares: Floats = np.divide(intersection, own, out=np.zeros_like(intersection), where=own > 0)
    return shares


def _intersections(boxes: ArrayLike, others: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return the areas of all intersections, (N, M), of `boxes`, (N,), and of `others`, (M,)."""
    first = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    second = np.asarray(others, dtype=np.float64).reshape(-1, 4)
    shared = _shared_sides(first, second, 0)
    shared *= _shared_sides(first, second, 1)
    areas = [(group[:, 2:] - group[:, :2]).prod(axis=1) for group in (first, second)]
    return shared, areas[0], areas[1]


def _shared_sides(first: Floats, second: Floats, axis: int) -> Floats:
    """Return the width (axis 0) or height (axis 1) of all intersections, (N, M); 0 or more."""
    # In place: crowded images have millions of pairs.
    sides: Floats = np.minimum(first[:, None, 2 + axis], second[None, :, 2 + axis])
    sides -= np.maximum(first[:, None, axis], second[None, :, axis])
    return np.clip(sides, 0, None, out=sides)


def match(overlap: Floats, threshold: float) -> NDArray[np.int64]:
    """Match rows to columns one to one, greedily in row order.

    Args:
        overlap: shape (N, M); rows in order of preference, such as descending score.
        threshold: minimum overlap of a match.

    Returns:
        Shape (N,): the column of each row, -1 if none is left.
    """
    free = np.array(overlap, dtype=np.float64)
    matches = np.full(len(free), -1, dtype=np.int64)
    if free.shape[1] == 0:
        return matches
    for row in range(len(free)):
        column = int(free[row].argmax())
        if free[row, column] >= threshold:
            matches[row] = column
            free[:, column] = -1
    return matches
