"""A recipe's free parameters, fitted to what was removed.

How much a recipe drops, and how strong its tendency is, belongs to a file; which numbers of boxes
it keeps or drops per image belongs to the recipe, and stays.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sparsedet.annotations.table import BoolArray, FloatArray
from sparsedet.errors import RecipeError
from sparsedet.sparsify.comparison.plays import FIT, Sample, play
from sparsedet.sparsify.orders import TENDENCIES, propensity
from sparsedet.sparsify.recipe import Recipe
from sparsedet.sparsify.rules import DropFraction, DropImages, Removal

_PLAYS = 2
"""Plays whose mean is compared with what was removed."""
_STEPS = 10
_CLOSE = 0.1
"""Standard deviations; closer than that, a fit is as good as chance lets it be."""
_STRONGEST = 0.99
"""Strength 99, on the scale that the search uses: strength / (1 + strength)."""
_WITHIN = 3.5
"""Standard deviations within which a round number is taken for the share of an image's boxes."""
_NEARLY_ALL = 0.9
"""A fitted share from which on it is looked at whether anything is left that may go."""
_CLEAR = 2.33
"""Standard deviations: a tendency below that may be chance (one-sided, 1 %)."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A recipe with its free parameters as the file has them."""

    recipe: Recipe
    parameters: dict[str, float]
    """The fitted ones, by name."""


@dataclass(frozen=True, slots=True)
class _Trait:
    """A free parameter beside the share of boxes, and the number that shows it."""

    rule: int
    field: str
    weights: FloatArray | None
    """Shape (N,): the propensity of the boxes, summed over those removed; None: bare images are
    counted."""

    def measure(self, sample: Sample, removed: BoolArray) -> float:
        if self.weights is not None:
            return float(self.weights[removed].sum())
        return float(_bare(sample, removed).sum())

    def deviation(self, sample: Sample) -> float:
        """Return by how much the measure varies by chance, about."""
        share = sample.removed.mean()
        if self.weights is None:
            return float(np.sqrt(self.measure(sample, sample.removed) + 1))
        return float(np.sqrt(share * (1 - share) * len(self.weights) * self.weights.var() + 1e-9))

    def value(self, position: float) -> float:
        """Return the parameter at a position of the search, 0 to 1."""
        return position if self.weights is None else position / (1 - position)

    def position(self, value: float) -> float:
        return value if self.weights is None else value / (1 + value)

    @property
    def last(self) -> float:
        return 1.0 if self.weights is None else _STRONGEST


def fit(recipe: Recipe, sample: Sample) -> Fit:
    """Fit the shares and strengths of a recipe so that it removes as much, and as typically.

    `drop` is fitted to the number of boxes removed, `share` of images to the number of images that
    lost all, `strength` to how small, crowded, ... the removed boxes are. A share of images or a
    strength that does not show clearly stays as the recipe has it: without it, the recipe would be
    another one.

    Raises:
        RecipeError: when the recipe can't be met on these boxes.
    """
    traits = _traits(recipe, sample)
    parameters: dict[str, float] = {}
    for trait in traits:
        recipe = _fit_trait(recipe, trait, sample)
        parameters[trait.field] = getattr(recipe.rules[trait.rule], trait.field)
    recipe = _fit_drop(recipe, sample)
    if (last := _dropping(recipe)) is not None:
        parameters = {"drop": _parameter(recipe, last, "drop"), **parameters}
    return Fit(recipe, parameters)


def _fit_trait(recipe: Recipe, trait: _Trait, sample: Sample) -> Recipe:
    target = trait.measure(sample, sample.removed)
    close = trait.deviation(sample)

    def fitted(position: float) -> Recipe:
        return _fit_drop(_with(recipe, trait.rule, trait.field, trait.value(position)), sample)

    def measured(position: float) -> float:
        return _mean(lambda removed: trait.measure(sample, removed), fitted(position), sample)

    without = measured(0.0)
    if target - without < _CLEAR * close:
        return recipe
    start = trait.position(_parameter(recipe, trait.rule, trait.field))
    position = _solve(measured, target, (0.0, without), trait.last, start, _CLOSE * close)
    return _with(recipe, trait.rule, trait.field, trait.value(position))


def _fit_drop(recipe: Recipe, sample: Sample) -> Recipe:
    """Fit the share that the last removal drops to the share of boxes removed."""
    last = _dropping(recipe)
    if last is None:
        return recipe
    # After whole images are gone, their sizes, which chance decides, say nothing about the share.
    partly = any(isinstance(rule, DropImages) for rule in recipe.rules)
    boxes = len(sample.boxes)

    def share(removed: BoolArray) -> float:
        if partly:
            removed = removed[~_bare(sample, removed)[sample.boxes.image]]
        return float(removed.mean()) if len(removed) else 0.0

    def measured(drop: float) -> float:
        return _mean(share, _with(recipe, last, "drop", drop), sample)

    target = share(sample.removed)
    close = max(_CLOSE * float(np.sqrt(target * (1 - target) / boxes)), 0.5 / boxes)
    drop = _solve(measured, target, (0.0, 0.0), 1.0, target, close)
    own = _parameter(recipe, last, "drop")
    if drop > _NEARLY_ALL and own < drop and measured(1.0) - target <= close:
        # All that may go is gone: minimums alone decide, and the share nothing.
        return recipe
    return _with(recipe, last, "drop", _roundest(drop, own, _tolerance(recipe, last, sample)))


def _tolerance(recipe: Recipe, row: int, sample: Sample) -> float:
    """Return how far from its fitted value the share of a rule may be, by its rounding alone."""
    per = getattr(recipe.rules[row], "per", "dataset")
    if per == "dataset":
        return 0.0
    if per == "class":
        # Each class is rounded by half a box at most.
        return float(np.sqrt(len(np.unique(sample.boxes.category)))) / len(sample.boxes)
    # Half of the images, about, have a box that is rounded up or down; so have they in plays.
    rounded = 0.5 * (1 + 1 / _PLAYS) * len(sample.boxes.images)
    return _WITHIN * 0.5 * float(np.sqrt(rounded)) / len(sample.boxes)


def _roundest(value: float, own: float, within: float) -> float:
    """Return a recipe's own value or the roundest number that lies `within` so much of a value.

    Whether 3 of 6 boxes are exactly what a rule drops, or what it often drops, depends on the last
    digit of its share; and people choose round ones.
    """
    for number in (own, *(round(value, digits) for digits in range(1, 5))):
        if abs(number - value) <= within:
            return float(number)
    return value


def _bare(sample: Sample, removed: BoolArray) -> BoolArray:
    """Return which images lost all of their boxes; shape (I,)."""
    images = len(sample.boxes.images)
    owned = np.bincount(sample.boxes.image, minlength=images)
    gone = np.bincount(sample.boxes.image[removed], minlength=images)
    bare: BoolArray = gone == owned
    return bare


def _solve(
    measured: Callable[[float], float],
    target: float,
    low: tuple[float, float],
    last: float,
    start: float,
    close: float,
) -> float:
    """Return where a growing function is about `target`; at the ends where it is beyond them.

    False position; where one end stays, its weight is halved (the Illinois method). Positions at
    which the recipe can't be met count as too high.
    """
    if low[1] >= target - close:
        return low[0]
    high = (last, float("inf"))
    position, side = min(max(start, low[0]), last), 0
    best = (abs(low[1] - target), low[0])
    low_weight = high_weight = 1.0
    for _ in range(_STEPS):
        try:
            value = measured(position)
        except RecipeError:
            value = float("inf")
        best = min(best, (abs(value - target), position))
        if abs(value - target) <= close:
            break
        if value < target:
            low, high_weight, low_weight = (position, value), high_weight / (1 + (side < 0)), 1.0
            side = -1
        else:
            high, low_weight, high_weight = (position, value), low_weight / (1 + (side > 0)), 1.0
            side = 1
        if np.isinf(high[1]):
            # Not met, or not tried yet: the end itself comes before anything between.
            position = (
                last
                if high[0] == last and value < target and position < last
                else ((low[0] + high[0]) / 2)
            )
        else:
            below, above = (target - low[1]) * low_weight, (high[1] - target) * high_weight
            position = low[0] + (high[0] - low[0]) * below / (below + above)
        if high[0] - low[0] < 1e-9:
            break
    return best[1]


def _mean(measure: Callable[[BoolArray], float], recipe: Recipe, sample: Sample) -> float:
    values = [measure(play(recipe, sample, FIT + number)) for number in range(_PLAYS)]
    return sum(values) / len(values)


def _traits(recipe: Recipe, sample: Sample) -> list[_Trait]:
    traits = []
    for row, rule in enumerate(recipe.rules):
        if isinstance(rule, DropImages):
            traits.append(_Trait(row, "share", None))
        order, strength = getattr(rule, "order", None), getattr(rule, "strength", 0.0)
        if isinstance(rule, Removal) and order in TENDENCIES and 0 < strength < np.inf:
            traits.append(_Trait(row, "strength", propensity(sample.boxes, order)))
    return traits


def _dropping(recipe: Recipe) -> int | None:
    """Return the row of the last rule that drops a share of the boxes."""
    rows = [row for row, rule in enumerate(recipe.rules) if isinstance(rule, DropFraction)]
    return rows[-1] if rows else None


def _parameter(recipe: Recipe, row: int, name: str) -> float:
    return float(getattr(recipe.rules[row], name))


def _with(recipe: Recipe, row: int, name: str, value: float) -> Recipe:
    rules = list(recipe.rules)
    changed: Any = replace(rules[row], **{name: value})
    rules[row] = changed
    return replace(recipe, rules=tuple(rules))
