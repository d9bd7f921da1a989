"""Removal orders: which boxes are removed first, and the box properties that decide it.

An order never depends on how many boxes are dropped. So with the same seed, a higher drop removes
a superset of a lower one, and the steps of a sparsity curve are nested.
"""

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from sparsedet.annotations.table import FloatArray, IntArray
from sparsedet.sparsify.candidates import Candidates

Order = Literal[
    "random", "small", "large", "crowded", "border", "repeated", "smallest-of-each-image"
]
"""Which boxes are removed first.

- `random`: any box.
- `small`, `large`: by the share of the image that they cover.
- `crowded`: those with many neighbours.
- `border`: those close to an edge of the image.
- `repeated`: those that come late among the boxes of one class in an image, from left to right.
- `smallest-of-each-image`: cycles through the images in a random order, each time taking the
  smallest remaining box.

All but the first and last are tendencies, whose strength the rule sets.
"""
ORDERS: tuple[Order, ...] = get_args(Order)

TENDENCIES: tuple[Order, ...] = ("small", "large", "crowded", "border", "repeated")
"""The orders that have a strength."""

REACH = 2.0
"""Boxes are neighbours if one, enlarged by this factor, touches the other."""
_PAIRS = 4_000_000
"""Pairs of boxes computed at a time: bounds the memory on large datasets."""


def removal_order(boxes: Candidates, order: Order, strength: float) -> npt.NDArray[np.intp]:
    """Return the boxes (rows) in removal order; shape (N,).

    Tendencies give every box the score `u - strength * q`, the lowest first: q, from 0 to 1, is the
    share of boxes that have less of the property, and u, from 0 to 1, is the box's position in the
    random order. With strength 0 the order is random, with infinity it is by the property alone.
    With strength 1 and half of the boxes dropped, a box is dropped with probability q. Unlike
    logarithms, sums and products are bit-identical on every platform.
    """
    keys: tuple[npt.NDArray[Any], ...]  # the last one decides, the others break ties
    if order == "random":
        keys = (boxes.rank,)
    elif order == "smallest-of-each-image":
        by_size = np.lexsort((boxes.rank, relative_area(boxes)))
        visit = numbered(boxes.image, by_size)
        keys = (boxes.rank, boxes.image_rank[boxes.image], visit)
    else:
        score = -propensity(boxes, order)
        if strength < np.inf:
            score = boxes.rank.astype(np.float64) * 2.0**-64 + strength * score
        keys = (boxes.rank, score)
    rows: npt.NDArray[np.intp] = np.lexsort(keys)
    return rows


def propensity(boxes: Candidates, order: Order) -> FloatArray:
    """Return the share of boxes that have less of a tendency's property; shape (N,), 0 to 1."""
    if order == "repeated":  # not cached: ties are broken by the random order
        return quantile(row_number(boxes))
    if order not in boxes.propensities:
        boxes.propensities[order] = _geometric_propensity(boxes, order)
    return boxes.propensities[order]


def _geometric_propensity(boxes: Candidates, order: Order) -> FloatArray:
    """Return `propensity` for a property that depends on geometry alone."""
    if order == "small":
        return quantile(-relative_area(boxes))
    if order == "large":
        return quantile(relative_area(boxes))
    if order == "crowded":
        return quantile(neighbours(boxes))
    if order == "border":
        return quantile(-border_distance(boxes))
    raise ValueError(f"{order} is not a tendency")


def relative_area(boxes: Candidates) -> FloatArray:
    """Return the share of its image that each box covers; shape (N,), 0 to 1."""
    size = boxes.image_size[boxes.image]
    width, height = (boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]).T
    area: FloatArray = (width * height) / (size[:, 0] * size[:, 1])
    return area


def border_distance(boxes: Candidates) -> FloatArray:
    """Return each box's distance from the nearest edge of its image, as a share of the image.

    Shape (N,): 0 if a box touches an edge, up to 0.5.
    """
    size = boxes.image_size[boxes.image]
    from_start = boxes.xyxy[:, :2] / size
    to_end = (size - boxes.xyxy[:, 2:]) / size
    distance: FloatArray = np.minimum(from_start, to_end).min(axis=1)
    return distance


def neighbours(boxes: Candidates) -> IntArray:
    """Return the number of boxes near each box on its image; shape (N,).

    Two boxes are near each other if one of them, enlarged `REACH` times about its centre, touches
    the other.
    """
    order, starts, sizes = _by_image(boxes)
    centre = (boxes.xyxy[order, :2] + boxes.xyxy[order, 2:]) / 2
    half = (boxes.xyxy[order, 2:] - boxes.xyxy[order, :2]) / 2
    counted = np.zeros(len(order), dtype=np.int64)
    # Images with the same number of boxes form one block of all their pairs; those with very many
    # boxes are computed in several parts.
    for size in np.unique(sizes[sizes > 1]).tolist():
        rows = starts[sizes == size][:, None] + np.arange(size)
        for block in np.array_split(rows, max(1, len(rows) * size * size // _PAIRS)):
            for part in np.array_split(block, max(1, size * size // _PAIRS), axis=1):
                distance = np.abs(centre[part][:, :, None] - centre[block][:, None])
                first, second = half[part][:, :, None], half[block][:, None]
                reach = np.maximum(REACH * first + second, first + REACH * second)
                counted[part] = (distance <= reach).all(axis=-1).sum(axis=-1) - 1
    result = np.empty_like(counted)
    result[order] = counted
    return result


def row_number(boxes: Candidates) -> IntArray:
    """Return each box's number among those of its class and image, from left to right.

    Shape (N,), from 0; ties between equal centres are broken by random rank.
    """
    group = class_in_image(boxes)
    across = boxes.xyxy[:, 0] + boxes.xyxy[:, 2]
    down = boxes.xyxy[:, 1] + boxes.xyxy[:, 3]
    return numbered(group, np.lexsort((boxes.rank, down, across)))


def boxes_in_image(boxes: Candidates) -> IntArray:
    """Return the number of boxes of every box's image; shape (N,)."""
    counts: IntArray = np.bincount(boxes.image, minlength=len(boxes.images))[boxes.image]
    return counts


def class_in_image(boxes: Candidates) -> IntArray:
    """Return a number that identifies the image and class of every box; shape (N,)."""
    classes = int(boxes.category.max(initial=-1)) + 1
    group: IntArray = boxes.image * classes + boxes.category
    return group


def numbered(group: IntArray, order: npt.NDArray[np.intp]) -> IntArray:
    """Return the position of every item within its group, from 0, when visited in `order`.

    Args:
        group: Shape (N,), any integers.
        order: Shape (N,), a permutation of the items: the first to be visited first.
    """
    visited = group[order]
    # Stable: items keep their order within a group.
    by_group = np.argsort(visited, kind="stable")
    _, starts, sizes = np.unique(visited[by_group], return_index=True, return_counts=True)
    positions = np.empty(len(group), dtype=np.int64)
    positions[order[by_group]] = np.arange(len(group)) - np.repeat(starts, sizes)
    return positions


def quantile(values: npt.NDArray[Any]) -> FloatArray:
    """Return the mid-rank of every value as a share, 0 to 1: ties count half; shape (N,)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    below = np.cumsum(counts) - counts
    result: FloatArray = ((below + counts / 2) / max(len(values), 1))[inverse]
    return result


def _by_image(boxes: Candidates) -> tuple[npt.NDArray[np.intp], IntArray, IntArray]:
    """Return the rows of boxes sorted by image, and every image's first position and count."""
    order = np.argsort(boxes.image, kind="stable")
    sizes = np.bincount(boxes.image, minlength=len(boxes.images))
    return order, np.cumsum(sizes) - sizes, sizes
