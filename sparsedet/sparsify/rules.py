"""Removal rules: which boxes of a dataset a recipe drops, and which it always keeps."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from sparsedet.annotations.table import BoolArray, FloatArray, IntArray
from sparsedet.errors import RecipeError
from sparsedet.seeds import remixed
from sparsedet.sparsify.candidates import Candidates
from sparsedet.sparsify.orders import Order, class_in_image, numbered, removal_order
from sparsedet.wording import counted, first_of

Group = Literal["dataset", "class", "image", "class-in-image"]
"""The scope of a share or a number of boxes."""

_NARROWEST_FIRST: tuple[Group, ...] = ("class-in-image", "image", "class", "dataset")


@dataclass(frozen=True, slots=True)
class _Expected:
    """A constraint on a parameter."""

    description: str
    holds: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    # Arrays hold no integers beyond 64 bits.
    return isinstance(value, float) or (
        isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


Share = Annotated[
    float,
    _Expected("a share from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1),
]
Count = Annotated[int, _Expected("a number of boxes (0 or more)", _is_count)]
Strength = Annotated[
    float,
    _Expected(
        "a number from 0 (chance alone) to .inf (the property alone)",
        lambda value: _is_number(value) and not math.isnan(value) and value >= 0,
    ),
]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule; its fields are the parameters that a recipe sets."""

    def __post_init__(self) -> None:
        _check_parameters(self)


@dataclass(frozen=True, slots=True)
class KeepAtLeast(Rule):
    """Keep a number of boxes in every group: the last in removal order.

    Applies to all removals of its recipe, before and after it.
    """

    count: Count
    per: Group

    def protected(self, boxes: Candidates, order: npt.NDArray[np.intp]) -> BoolArray:
        """Return which boxes must stay; shape (N,)."""
        from_the_end = numbered(_groups(boxes, self.per), order[::-1])
        return from_the_end < self.count


@dataclass(frozen=True, slots=True)
class Removal(Rule, ABC):
    """A rule that removes boxes, in an order that does not depend on how many."""

    @abstractmethod
    def removed(self, boxes: Candidates, minimums: Sequence[KeepAtLeast] = ()) -> BoolArray:
        """Return which boxes are removed; shape (N,).

        Raises:
            RecipeError: when `minimums` leave too few boxes to remove.
        """


@dataclass(frozen=True, slots=True)
class DropFraction(Removal):
    """Drop a share of the boxes of every group.

    For the dataset or a class, the number is rounded to the nearest box, halves to even. For an
    image, it is rounded up or down at random, so that the share holds over many images, and limited
    by the minimums.
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
        limit: FloatArray = self.drop * sizes.astype(np.float64)
        if self.per in ("dataset", "class"):
            limit = np.rint(limit)
            self._check_spare(boxes, group, limit.astype(np.int64), spare)
        else:
            limit -= _random_rounding(boxes, group)
        position = numbered(group, _spare_first(order, spare))
        removed: BoolArray = spare & (position < limit[group])
        return removed

    def _check_spare(
        self, boxes: Candidates, group: IntArray, wanted: IntArray, spare: BoolArray
    ) -> None:
        """Refuse a share that minimums make impossible in a group."""
        left = np.bincount(group[spare], minlength=len(wanted))
        short = np.flatnonzero(left < wanted)
        if len(short) == 0:
            return
        among = group == short[0]
        what = "boxes"
        if self.per == "class" and boxes.categories:
            what += f" of class {boxes.categories[boxes.category[among][0]].name!r}"
        raise RecipeError(
            f"can't drop {wanted[short[0]]} of {among.sum()} {what}: {_held(boxes, among & ~spare)}"
        )


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
        position = numbered(_groups(boxes, self.per), _spare_first(order, spare))
        removed: BoolArray = spare & (position < self.count)
        return removed


@dataclass(frozen=True, slots=True)
class KeepCount(Removal):
    """Keep a number of boxes of every group; a group with no more than that loses none.

    Boxes protected by minimums are kept first.
    """

    keep: Count
    per: Group = "image"
    order: Order = "random"
    strength: Strength = 1.0

    def removed(self, boxes: Candidates, minimums: Sequence[KeepAtLeast] = ()) -> BoolArray:
        """Return all but the last `keep` boxes of every group; shape (N,)."""
        order = removal_order(boxes, self.order, self.strength)
        spare = _spare(boxes, order, minimums)
        group = _groups(boxes, self.per)
        removed: BoolArray = numbered(group, _spare_first(order, spare)[::-1]) >= self.keep
        if (too_many := removed & ~spare).any():
            held = np.isin(group, group[too_many]) & ~spare
            kept = counted(self.keep, "box")
            each = "in all" if self.per == "dataset" else f"of every {self.per}"
            raise RecipeError(f"can't keep only {kept} {each}: {_held(boxes, held)}")
        return removed


@dataclass(frozen=True, slots=True)
class DropImages(Removal):
    """Drop all boxes of a share of the images that have any.

    Images on which minimums protect boxes are skipped; others are emptied instead.
    """

    share: Share

    def removed(self, boxes: Candidates, minimums: Sequence[KeepAtLeast] = ()) -> BoolArray:
        """Return the boxes of the first images in random order; shape (N,)."""
        order = np.lexsort((boxes.rank, boxes.image_rank[boxes.image]))
        held = ~_spare(boxes, order, minimums)
        annotated = np.unique(boxes.image)
        free = np.setdiff1d(annotated, boxes.image[held])
        if (count := int(np.rint(self.share * len(annotated)))) > len(free):
            raise RecipeError(
                f"can't drop all boxes of {count} of {len(annotated)} images: {_held(boxes, held)}"
            )
        by_rank = free[np.argsort(boxes.image_rank[free])]
        removed: BoolArray = np.isin(boxes.image, by_rank[:count])
        return removed


RULES: dict[str, type[Rule]] = {
    "drop-fraction": DropFraction,
    "drop-count": DropCount,
    "drop-images": DropImages,
    "keep-count": KeepCount,
    "keep-at-least": KeepAtLeast,
}
"""Rules by their names in recipes."""


def _check_parameters(rule: Any) -> None:
    """Validate the fields of a rule, a dataclass, against their types.

    Raises:
        RecipeError: naming the first invalid parameter, and the valid values.
    """
    for name, hint in get_type_hints(type(rule), include_extras=True).items():
        expected = _expected(hint)
        value = getattr(rule, name)
        if not expected.holds(value):
            raise RecipeError(f"{name} is {value!r}, expected {expected.description}")


def _expected(hint: Any) -> _Expected:
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        # A list: what YAML made of the value may be unhashable.
        return _Expected(f"one of {', '.join(choices)}", lambda value: value in list(choices))
    found: _Expected = get_args(hint)[1]
    return found


def _groups(boxes: Candidates, per: Group) -> IntArray:
    if per == "dataset":
        return np.zeros(len(boxes), dtype=np.int64)
    if per == "class":
        return boxes.category
    return boxes.image if per == "image" else class_in_image(boxes)


def _spare(
    boxes: Candidates, order: npt.NDArray[np.intp], minimums: Sequence[KeepAtLeast]
) -> BoolArray:
    """Return which boxes are not protected by a minimum; shape (N,)."""
    spare = np.ones(len(boxes), dtype=np.bool_)
    # Boxes kept for a narrow group also count for the wider groups around it.
    for minimum in sorted(minimums, key=lambda rule: _NARROWEST_FIRST.index(rule.per)):
        spare &= ~minimum.protected(boxes, _spare_first(order, spare))
    return spare


def _spare_first(order: npt.NDArray[np.intp], spare: BoolArray) -> npt.NDArray[np.intp]:
    """Return the removal order with the protected boxes moved to its end."""
    return np.concatenate((order[spare[order]], order[~spare[order]]))


def _random_rounding(boxes: Candidates, group: IntArray) -> FloatArray:
    """Return a random number from 0 to 1 for every group, the same for every drop."""
    lowest = np.full(int(group.max(initial=-1)) + 1, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(lowest, group, boxes.rank)
    # 32 bits, so that sums with positions are exact and never round up to the next whole number.
    bits = remixed(~lowest) >> np.uint64(32)
    rounding: FloatArray = bits.astype(np.float64) * 2.0**-32
    return rounding


def _held(boxes: Candidates, held: BoolArray) -> str:
    """Describe why a rule can't be satisfied: how many boxes the minimums protect, and where."""
    images = np.unique(boxes.image[held])
    names = sorted(boxes.images[row].file_name for row in images.tolist())
    return (
        f"keep-at-least holds {counted(int(held.sum()), 'box')} on {counted(len(images), 'image')} "
        f"({first_of(names)}); drop fewer, or keep fewer"
    )
