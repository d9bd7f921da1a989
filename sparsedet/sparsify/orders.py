"""Removal orders: which boxes go first.

An order never depends on how many boxes are dropped. With the same seed a higher drop therefore
removes a superset of what a lower one removes, and the steps of a sparsity curve are nested.
"""

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from sparsedet.annotations.table import FloatArray
from sparsedet.sparsify import properties
from sparsedet.sparsify.candidates import Candidates

Order = Literal[
    "random", "small", "large", "crowded", "border", "repeated", "smallest-of-each-image"
]
"""Which boxes go first.

- `random`: any.
- `small`, `large`: by the share of the image that they cover.
- `crowded`: those with many neighbours.
- `border`: those close to an edge of the image.
- `repeated`: those late among the boxes of one class in an image, counted from left to right.
- `smallest-of-each-image`: visits the images in a random order, again and again, and takes the
  smallest box that is left at each visit.

All but the first and last are tendencies, of a strength that the rule sets.
"""
ORDERS: tuple[Order, ...] = get_args(Order)

TENDENCIES: tuple[Order, ...] = ("small", "large", "crowded", "border", "repeated")
"""The orders that have a strength."""


def removal_order(boxes: Candidates, order: Order, strength: float) -> npt.NDArray[np.intp]:
    """Return the boxes (rows) in the order in which they are removed; shape (N,).

    For tendencies every box has the score `u - strength * q`, the lowest first: q, from 0 to 1, is
    the share of boxes that have less of the property, and u, from 0 to 1, is the box's place in the
    random order. With strength 0 chance alone decides and the order is the random one, with
    infinity the property alone does. With strength 1 and half of the boxes dropped a box goes with
    probability q. Sums and products, unlike logarithms, are the same to the last bit on every
    platform.
    """
    keys: tuple[npt.NDArray[Any], ...]  # the last decides, the others in case of equals
    if order == "random":
        keys = (boxes.rank,)
    elif order == "smallest-of-each-image":
        by_size = np.lexsort((boxes.rank, properties.relative_area(boxes)))
        visit = properties.numbered(boxes.image, by_size)
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
    if order == "repeated":  # not known for good: boxes of one place are told apart by chance
        return properties.quantile(properties.row_number(boxes))
    if order not in boxes.known:
        boxes.known[order] = _of_places(boxes, order)
    return boxes.known[order]


def _of_places(boxes: Candidates, order: Order) -> FloatArray:
    """Return `propensity` for a property that depends on the boxes' places alone."""
    if order == "small":
        return properties.quantile(-properties.relative_area(boxes))
    if order == "large":
        return properties.quantile(properties.relative_area(boxes))
    if order == "crowded":
        return properties.quantile(properties.neighbours(boxes))
    if order == "border":
        return properties.quantile(-properties.border_distance(boxes))
    raise ValueError(f"{order} is no tendency")
