"""Removal rules: which boxes of a dataset a recipe drops, and which it keeps at any rate."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from sparsedet.annotations.table import BoolArray, FloatArray, IntArray
from sparsedet.errors import RecipeError
from sparsedet.sparsify.candidates import Candidates
from sparsedet.sparsify.orders import Order, removal_order
from sparsedet.sparsify.parameters import Count, Share, Strength, check_parameters
from sparsedet.sparsify.properties import class_in_image, numbered
from sparsedet.sparsify.ranking import remixed

Group = Literal["dataset", "class", "image", "class-in-image"]
"""What a share or a number of boxes is taken of."""

_NAMED = 3
"""Images that an error names."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule; its fields are the parameters that a recipe sets."""

    def __post_init__(self) -> None:
        check_parameters(self)


@dataclass(frozen=True, slots=True)
class KeepAtLeast(Rule):
    """Keep a number of boxes in every group: the last in removal order.

    It holds for all removals of its recipe, wherever it stands.
    """

    count: Count
    per: Group

    def protected(self, boxes: Candidates, order: npt.NDArray[np.intp]) -> BoolArray:
        """Return which boxes have to stay; shape (N,)."""
        from_the_end = numbered(_groups(boxes, self.per), order[::-1])
        return from_the_end < self.count


@dataclass(frozen=True, slots=True)
class Removal(Rule, ABC):
    """A rule that removes boxes, in an order that does not depend on how many."""

    @abstractmethod
    def removed(self, boxes: Candidates, minimums: Sequence[KeepAtLeast] = ()) -> BoolArray:
        """Return which boxes go; shape (N,).

        Raises:
            RecipeError: when `minimums` leave too few boxes to remove.
        """


@dataclass(frozen=True, slots=True)
class DropFraction(Removal):
    """Drop a share of the boxes of every group.

    A share of the dataset or of a class is met to the nearest box. Of an image it is met as far as
    minimums allow, and rounded up or down at random, so that over many images it is met as well.
    """

    drop: Share
    per: Group = "dataset"
    order: Order = "random"
    strength: Strength = 1.0

    def removed(self, boxes: Candidates, minimums: Sequence[KeepAtLeast] = ()) -> BoolArray:
        """Return the first boxes of every group, up to the share; shape (N,)."""
        order = removal_order(boxes, self.order, self.strength)
        spare = _spare(boxes, order, minimums)
        group = _groups(boxes, self.per)
        _, group, sizes = np.unique(group, return_inverse=True, return_counts=True)
        is_large = self.per in ("dataset", "class")
        rounding = np.full(len(sizes), 0.5) if is_large else _random_rounding(boxes, group)
        quota: FloatArray = self.drop * sizes.astype(np.float64)
        position = _positions_of_spare(group, order, spare)
        removed: BoolArray = spare & (position + rounding[group] < quota[group])
        if is_large:
            _check_met(boxes, group, quota, removed, spare)
        return removed


@dataclass(frozen=True, slots=True)
class DropCount(Removal):
    """Drop a number of boxes of every group, as far as minimums allow."""

    count: Count
    per: Group = "image"
    order: Order = "random"
    strength: Strength = 1.0

    def removed(self, boxes: Candidates, minimums: Sequence[KeepAtLeast] = ()) -> BoolArray:
        """Return the first `count` boxes of every group; shape (N,)."""
        order = removal_order(boxes, self.order, self.strength)
        spare = _spare(boxes, order, minimums)
        position = _positions_of_spare(_groups(boxes, self.per), order, spare)
        removed: BoolArray = spare & (position < self.count)
        return removed


@dataclass(frozen=True, slots=True)
class KeepCount(Removal):
    """Keep a number of boxes of every group; a group that has no more loses none."""

    keep: Count
    per: Group = "image"
    order: Order = "random"
    strength: Strength = 1.0

    def removed(self, boxes: Candidates, minimums: Sequence[KeepAtLeast] = ()) -> BoolArray:
        """Return all but the last `keep` boxes of every group; shape (N,)."""
        order = removal_order(boxes, self.order, self.strength)
        from_the_end = numbered(_groups(boxes, self.per), order[::-1])
        removed: BoolArray = _spare(boxes, order, minimums) & (from_the_end >= self.keep)
        return removed


@dataclass(frozen=True, slots=True)
class DropImages(Removal):
    """Drop all boxes of a share of the images that have any."""

    share: Share

    def removed(self, boxes: Candidates, minimums: Sequence[KeepAtLeast] = ()) -> BoolArray:
        """Return the boxes of the first images in random order; shape (N,)."""
        annotated = np.unique(boxes.image)
        by_rank = annotated[np.argsort(boxes.image_rank[annotated])]
        chosen = by_rank[np.arange(len(by_rank)) + 0.5 < self.share * len(by_rank)]
        spare = _spare(boxes, np.argsort(boxes.rank), minimums)
        removed: BoolArray = spare & np.isin(boxes.image, chosen)
        return removed


RULES: dict[str, type[Rule]] = {
    "drop-fraction": DropFraction,
    "drop-count": DropCount,
    "drop-images": DropImages,
    "keep-count": KeepCount,
    "keep-at-least": KeepAtLeast,
}
"""Rules by the name that recipes use."""


def _groups(boxes: Candidates, per: Group) -> IntArray:
    if per == "dataset":
        return np.zeros(len(boxes), dtype=np.int64)
    if per == "class":
        return boxes.category
    return boxes.image if per == "image" else class_in_image(boxes)


def _spare(
    boxes: Candidates, order: npt.NDArray[np.intp], minimums: Sequence[KeepAtLeast]
) -> BoolArray:
    """Return which boxes no minimum protects; shape (N,)."""
    spare = np.ones(len(boxes), dtype=np.bool_)
    for minimum in minimums:
        spare &= ~minimum.protected(boxes, order)
    return spare


def _positions_of_spare(group: IntArray, order: npt.NDArray[np.intp], spare: BoolArray) -> IntArray:
    """Return the position in its group's removal order of every spare box; shape (N,).

    Boxes that are not spare get numbers that mean nothing.
    """
    # Behind all others, protected boxes take no place in the order away from them.
    spare_first = np.concatenate((order[spare[order]], order[~spare[order]]))
    return numbered(group, spare_first)


def _random_rounding(boxes: Candidates, group: IntArray) -> FloatArray:
    """Return a random number from 0 to 1 for every group, the same for every drop."""
    lowest = np.full(int(group.max(initial=-1)) + 1, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(lowest, group, boxes.rank)
    rounding: FloatArray = remixed(lowest).astype(np.float64) * 2.0**-64
    return rounding


def _check_met(
    boxes: Candidates, group: IntArray, quota: FloatArray, removed: BoolArray, spare: BoolArray
) -> None:
    """Refuse a share that minimums leave too few boxes for; say on which images."""
    wanted = np.ceil(quota - 0.5).sum()
    if removed.sum() >= wanted:
        return
    left = np.bincount(boxes.image[spare], minlength=len(boxes.images))
    owned = np.bincount(boxes.image, minlength=len(boxes.images))
    bare = np.flatnonzero((owned > 0) & (left == 0)).tolist()
    names = ", ".join(boxes.images[row].file_name for row in bare[:_NAMED])
    more = ", ..." if len(bare) > _NAMED else ""
    raise RecipeError(
        f"can't drop {int(wanted)} of {len(boxes)} boxes: the minimum to keep leaves only "
        f"{int(removed.sum())} that may go; {len(bare)} images have none to spare ({names}{more})"
    )
