"""Removal rules: which boxes of a dataset a recipe drops.

A rule receives boxes in rank order (see `ranking`) and drops from the front of that order. A higher
drop therefore takes a longer prefix: with the same seed it removes a superset of what a lower drop
removes, and the steps of a sparsity curve are nested.
"""

import math
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice

from sparsedet.annotations import Box
from sparsedet.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Rule(ABC):
    """A removal rule; its fields are the parameters that a recipe sets.

    A `float` field is a share from 0 to 1, an `int` field a number of boxes.
    """

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is float:
                _check_share(field.name, value)
            else:
                _check_count(field.name, value)

    @abstractmethod
    def removed(self, ranked: Sequence[Box]) -> Iterable[Box]:
        """Return the boxes to remove from `ranked`: a dataset's boxes without crowd regions."""


@dataclass(frozen=True, slots=True)
class DropFraction(Rule):
    """Drop a share of all boxes, with no guarantee for any image or class."""

    drop: float

    def removed(self, ranked: Sequence[Box]) -> Iterable[Box]:
        """Return the first `round(drop * n)` of all n boxes."""
        return ranked[: _share(self.drop, ranked)]


@dataclass(frozen=True, slots=True)
class DropFractionPerImage(Rule):
    """Drop a share of the boxes of every image, as far as its classes keep their minimum."""

    drop: float
    keep_per_class: int

    def removed(self, ranked: Sequence[Box]) -> Iterable[Box]:
        """Return up to `round(drop * n)` of the n boxes of each image."""
        for boxes in _groups(ranked, _image):
            yield from islice(_spare(boxes, self.keep_per_class), _share(self.drop, boxes))


@dataclass(frozen=True, slots=True)
class DropCountPerImage(Rule):
    """Drop a number of boxes of every image, as far as its classes keep their minimum."""

    count: int
    keep_per_class: int

    def removed(self, ranked: Sequence[Box]) -> Iterable[Box]:
        """Return up to `count` boxes of each image."""
        for boxes in _groups(ranked, _image):
            yield from islice(_spare(boxes, self.keep_per_class), self.count)


@dataclass(frozen=True, slots=True)
class KeepCountPerImage(Rule):
    """Keep a number of boxes of every image."""

    keep: int

    def removed(self, ranked: Sequence[Box]) -> Iterable[Box]:
        """Return all but `keep` boxes of each image."""
        return _all_but(self.keep, _groups(ranked, _image))


@dataclass(frozen=True, slots=True)
class KeepCountPerClass(Rule):
    """Keep a number of boxes of every class in every image."""

    keep: int

    def removed(self, ranked: Sequence[Box]) -> Iterable[Box]:
        """Return all but `keep` boxes of each class in each image."""
        return _all_but(self.keep, _groups(ranked, _image_and_class))


RULES: dict[str, type[Rule]] = {
    "drop-fraction": DropFraction,
    "drop-fraction-per-image": DropFractionPerImage,
    "drop-count-per-image": DropCountPerImage,
    "keep-count-per-image": KeepCountPerImage,
    "keep-count-per-class": KeepCountPerClass,
}
"""Rules by the name that recipes use."""


def _image(box: Box) -> Hashable:
    return box.image_id


def _image_and_class(box: Box) -> Hashable:
    return box.image_id, box.category_id


def _groups(ranked: Sequence[Box], key: Callable[[Box], Hashable]) -> Iterable[Sequence[Box]]:
    """Return the boxes of each group, still in rank order."""
    groups: defaultdict[Hashable, list[Box]] = defaultdict(list)
    for box in ranked:
        groups[key(box)].append(box)
    return groups.values()


def _spare(boxes: Sequence[Box], keep_per_class: int) -> Iterator[Box]:
    """Yield the boxes, first to drop first, that leave `keep_per_class` of their class behind."""
    left = Counter(box.category_id for box in boxes)
    for box in boxes:
        if left[box.category_id] > keep_per_class:
            left[box.category_id] -= 1
            yield box


def _all_but(keep: int, groups: Iterable[Sequence[Box]]) -> Iterator[Box]:
    for boxes in groups:
        yield from boxes[: max(0, len(boxes) - keep)]


def _share(drop: float, boxes: Sequence[Box]) -> int:
    # Python rounds a half to the even number: over many images neither side is favoured.
    return round(drop * len(boxes))


def _check_share(name: str, value: object) -> None:
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not math.isfinite(value)
        or not 0 <= value <= 1
    ):
        raise RecipeError(f"{name} is {value!r}, expected a share from 0 to 1")


def _check_count(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise RecipeError(f"{name} is {value!r}, expected a number of boxes (0 or more)")
