"""Invariants: what a recipe guarantees for every image, class or group, for any seed.

A single violation rules a recipe out with certainty, on ten boxes as on a million. If minimums of
several kinds protect boxes, only bounds are known, and nothing within them is a violation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from sparsedet.annotations.table import BoolArray, FloatArray, IntArray
from sparsedet.sparsify.candidates import Candidates
from sparsedet.sparsify.orders import class_in_image
from sparsedet.sparsify.recipe import Recipe
from sparsedet.sparsify.rules import (
    DropCount,
    DropFraction,
    DropImages,
    Group,
    KeepAtLeast,
    KeepCount,
    Removal,
)

_PARTS: dict[Group, tuple[Group, ...]] = {
    "dataset": ("dataset", "class", "image", "class-in-image"),
    "class": ("class", "class-in-image"),
    "image": ("image", "class-in-image"),
    "class-in-image": ("class-in-image",),
}
"""Group -> groups that partition it."""
_ROUNDING = 1e-12
"""Tolerance for shares as floating-point numbers."""


@dataclass(frozen=True, eq=False)
class Observation:
    """What happened to N boxes, with the names of images and classes for messages."""

    boxes: Candidates
    classes: Sequence[str]
    removed: BoolArray
    """Shape (N,)."""
    is_whole: bool
    """False if some images are left out: then totals per class mean nothing."""
    _grouped: dict[Group, "Groups"] = field(default_factory=dict)

    def grouped(self, per: Group) -> "Groups":
        """Return the boxes in groups; cached, as most recipes need the same ones."""
        if per not in self._grouped:
            self._grouped[per] = _grouped(self.boxes, self.removed, per)
        return self._grouped[per]


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """N boxes in G groups."""

    per: Group
    of_box: IntArray
    """Shape (N,): the group of every box."""
    first: npt.NDArray[np.intp]
    """Shape (G,): one box of every group."""
    sizes: IntArray
    """Shape (G,)."""
    removed: IntArray
    """Shape (G,)."""


def violated_invariant(recipe: Recipe, seen: Observation) -> str | None:
    """Describe how an observation violates an invariant of a recipe; None if it doesn't.

    Invariants are known for minimums, for a single removal, and for one after the removal of whole
    images. Other combinations are left to the significance tests.
    """
    minimums = [rule for rule in recipe.rules if isinstance(rule, KeepAtLeast)]
    removals = [rule for rule in recipe.rules if isinstance(rule, Removal)]
    if len(minimums) and (violated := _minimums(minimums, seen)):
        return violated
    rest = removals[1:] if isinstance(removals[0], DropImages) else removals
    excused = len(rest) < len(removals)
    if not rest:
        return _whole_images(minimums, seen)
    if len(rest) > 1:
        return None
    rule = rest[0]
    if not isinstance(rule, DropFraction | DropCount | KeepCount):
        return None
    if rule.per in ("dataset", "class") and (excused or not seen.is_whole):
        return None
    groups = seen.grouped(rule.per)
    low, high = spare_boxes(groups, minimums, seen)
    bare = np.zeros(len(groups.sizes), dtype=np.bool_)
    if excused:
        owned = np.bincount(seen.boxes.image, minlength=len(seen.boxes.images))
        gone = np.bincount(seen.boxes.image[seen.removed], minlength=len(owned))
        bare = (gone == owned)[seen.boxes.image[groups.first]]
    if isinstance(rule, DropFraction):
        return _share(rule, groups, low, ~bare, seen)
    return _count(rule, groups, low, high, ~bare, minimums, seen)


def _minimums(minimums: Sequence[KeepAtLeast], seen: Observation) -> str | None:
    for minimum in minimums:
        if minimum.per in ("dataset", "class") and not seen.is_whole:
            continue
        groups = seen.grouped(minimum.per)
        kept = groups.sizes - groups.removed
        violated = kept < _capped(minimum.count, groups.sizes)
        if violated.any():
            return _describe(groups, violated, seen, partial(_too_few, groups, minimum.count))
    return None


def _too_few(groups: Groups, count: int, row: int) -> str:
    kept = groups.sizes[row] - groups.removed[row]
    return f"kept {kept} of {groups.sizes[row]} boxes; at least {count} must stay"


def _whole_images(minimums: Sequence[KeepAtLeast], seen: Observation) -> str | None:
    groups = seen.grouped("image")
    low, _ = spare_boxes(groups, minimums, seen)
    violated = (groups.removed > 0) & (groups.removed < low)
    return _describe(
        groups,
        violated,
        seen,
        lambda row: (
            f"lost {groups.removed[row]} of {groups.sizes[row]} boxes instead of all or none"
        ),
    )


def _count(
    rule: DropCount | KeepCount,
    groups: Groups,
    low: IntArray,
    high: IntArray,
    bound: BoolArray,
    minimums: Sequence[KeepAtLeast],
    seen: Observation,
) -> str | None:
    """Check the number of boxes that every group lost; `low` to `high` of them are spare."""
    if isinstance(rule, DropCount):
        least, most = _capped(rule.count, low), _capped(rule.count, high)
        words = f"drops {rule.count}"
    else:
        kept = _capped(rule.keep, groups.sizes)
        most = np.minimum(groups.sizes - kept, high)
        alike = all(minimum.per == rule.per for minimum in minimums)
        # Boxes kept by count and by a minimum may or may not be the same.
        least = most if alike else np.maximum(low - kept, 0)
        words = f"keeps {rule.keep}"
    violated = bound & ((groups.removed < least) | (groups.removed > most))

    def describe(row: int) -> str:
        expected = f"{least[row]}" if least[row] == most[row] else f"{least[row]} to {most[row]}"
        return (
            f"lost {groups.removed[row]} of {groups.sizes[row]} boxes; "
            f"the rule {words}, so that it loses {expected}"
        )

    return _describe(groups, violated, seen, describe)


def _share(
    rule: DropFraction, groups: Groups, low: IntArray, bound: BoolArray, seen: Observation
) -> str | None:
    """Check whether one share, rounded, explains what every group lost.

    Of a class the rule removes drop x n rounded to the nearest number, of an image rounded up or
    down; a group that lost all its spare boxes gives no upper bound.
    """
    if rule.per == "dataset":
        return None
    rounding = 0.5 if rule.per == "class" else 1.0
    least: FloatArray = np.where(groups.removed > 0, groups.removed - rounding, -1.0) / groups.sizes
    most: FloatArray = np.where(
        groups.removed < low, (groups.removed + rounding) / groups.sizes, np.inf
    )
    least[~bound], most[~bound] = -1.0, np.inf
    highest, lowest = int(least.argmax()), int(most.argmin())
    # Halves are rounded to even, so a class may be exactly half a box off its share; an image is
    # never a whole box off.
    slack = _ROUNDING if rule.per == "class" else -_ROUNDING
    if least[highest] < most[lowest] + slack:
        return None
    texts = [
        f"{_name(groups, row, seen)} lost {groups.removed[row]} of {groups.sizes[row]} boxes"
        for row in (highest, lowest)
    ]
    return f"{texts[0]}, but {texts[1]}; no single share gives both"


def _grouped(boxes: Candidates, gone: BoolArray, per: Group) -> Groups:
    if per == "dataset":
        keys: IntArray = np.zeros(len(boxes), dtype=np.int64)
    elif per == "class":
        keys = boxes.category
    else:
        keys = boxes.image if per == "image" else class_in_image(boxes)
    _, first, of_box, sizes = np.unique(
        keys, return_index=True, return_inverse=True, return_counts=True
    )
    removed = np.bincount(of_box[gone], minlength=len(sizes))
    return Groups(per, of_box, first, sizes, removed)


def spare_boxes(
    groups: Groups, minimums: Sequence[KeepAtLeast], seen: Observation
) -> tuple[IntArray, IntArray]:
    """Return bounds on the number of boxes of each group not protected by a minimum."""
    surest: IntArray = np.zeros(len(groups.sizes), dtype=np.int64)
    possible: IntArray = np.zeros(len(groups.sizes), dtype=np.int64)
    for minimum in minimums:
        inner = seen.grouped(minimum.per)
        protected = _capped(minimum.count, inner.sizes)
        if minimum.per in _PARTS[groups.per]:
            owner = groups.of_box[inner.first]
            sums = np.bincount(owner, weights=protected, minlength=len(surest)).astype(np.int64)
            surest, possible = np.maximum(surest, sums), possible + sums
        else:
            # A wider group: which of its parts contain the protected boxes is random.
            around = inner.of_box[groups.first]
            others = inner.sizes[around] - groups.sizes
            surest = np.maximum(surest, protected[around] - others)
            possible = possible + np.minimum(protected[around], groups.sizes)
    return groups.sizes - np.minimum(possible, groups.sizes), groups.sizes - surest


def _capped(count: int, sizes: IntArray) -> IntArray:
    """Return a rule's number of boxes, which may have more than 64 bits, for groups of `sizes`."""
    return np.minimum(min(count, int(sizes.max(initial=0))), sizes)


def _describe(
    groups: Groups, violated: BoolArray, seen: Observation, describe: Callable[[int], str]
) -> str | None:
    """Describe the first violation, and count the others."""
    found = np.flatnonzero(violated)
    if not len(found):
        return None
    # The image that ranks first, regardless of file order.
    row = int(found[seen.boxes.image_rank[seen.boxes.image[groups.first[found]]].argmin()])
    others = f" (and {len(found) - 1} more like it)" if len(found) > 1 else ""
    return f"{_name(groups, row, seen)} {describe(row)}{others}"


def _name(groups: Groups, row: int, seen: Observation) -> str:
    box = groups.first[row]
    image = seen.boxes.images[int(seen.boxes.image[box])].file_name
    category = seen.classes[int(seen.boxes.category[box])]
    if groups.per == "image":
        return f"image {image}"
    if groups.per == "class":
        return f"class {category}"
    return "the dataset" if groups.per == "dataset" else f"class {category} in image {image}"
