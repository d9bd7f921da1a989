"""Estimation of a recipe's free parameters from what was removed.

Shares and strengths are free; numbers of boxes that a recipe keeps or drops per image define it and
stay fixed. Estimates are maximum likelihood if the likelihood is known, else they match moments: a
statistic of the file with its mean over replicates.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sparsedet.annotations.table import BoolArray, FloatArray
from sparsedet.comparison.likelihood import maximum_likelihood
from sparsedet.comparison.replicates import FIT, Sample, replicate
from sparsedet.errors import RecipeError
from sparsedet.sparsify.orders import TENDENCIES, propensity
from sparsedet.sparsify.recipe import Recipe
from sparsedet.sparsify.rules import DropFraction, DropImages, Rule

_REPLICATES = 2
"""Replicates for the mean that is matched."""
_STEPS = 10
_CLOSE = 0.1
"""Tolerance of a fit in standard deviations: below that, chance dominates."""
_STRONGEST = 0.99
"""Strength 99, on the scale that the search uses: strength / (1 + strength)."""
_NEARLY_ALL = 0.9
"""A fitted share above which to check whether any removable boxes are left."""
_SIGNIFICANT = 2.33
"""Standard deviations below which a tendency may be chance (one-sided, 1 %)."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A recipe with its free parameters estimated from the file."""

    recipe: Recipe
    parameters: dict[str, float]
    """The estimates, by name."""
    unidentified: tuple[str, ...] = ()
    """Names of parameters that the data doesn't determine: their effect is no larger than
    chance."""


@dataclass(frozen=True, slots=True)
class _FreeParameter:
    """A free parameter other than the share of boxes, and the statistic that determines it."""

    rule: int
    field: str
    weights: FloatArray | None
    """Shape (N,): the boxes' propensities, whose sum over removed boxes is the statistic; None: the
    statistic is the number of images that lost all boxes."""

    def measure(self, sample: Sample, removed: BoolArray) -> float:
        if self.weights is not None:
            return float(self.weights[removed].sum())
        return float(_bare(sample, removed).sum())

    def deviation(self, sample: Sample) -> float:
        """Return the approximate standard deviation of the statistic."""
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
    """Estimate the shares and strengths of a recipe.

    `drop` is fitted to each image's loss if it is a share per image, else to the number of removed
    boxes; `share` of images to the number that lost all; `strength` to how small, crowded, ... the
    removed boxes are. Parameters without a significant effect are unidentified.

    Raises:
        RecipeError: when the recipe can't be satisfied on these boxes.
    """
    parameters: dict[str, float] = {}
    unidentified: list[str] = []
    likely = maximum_likelihood(recipe, sample)
    last = _dropping(recipe)
    if likely is not None and last is not None:
        recipe = _with(recipe, last, "drop", likely.drop)
        unidentified += ["drop"] if likely.is_lower_bound else []
    for free in _free_parameters(recipe, sample):
        if likely is not None and free.weights is None:
            recipe = _with(recipe, free.rule, free.field, likely.images)
            deviation = likely.deviation
        else:
            recipe, deviation = _fit_parameter(recipe, free, sample, is_known=likely is not None)
        if deviation < _SIGNIFICANT:
            unidentified.append(free.field)
        else:
            parameters[free.field] = _parameter(recipe, free.rule, free.field)
    if likely is None:
        recipe, is_lower_bound = _fit_drop(recipe, sample)
        unidentified += ["drop"] if is_lower_bound else []
    if last is not None and "drop" not in unidentified:
        parameters = {"drop": _parameter(recipe, last, "drop"), **parameters}
    return Fit(recipe, parameters, tuple(unidentified))


def without(recipe: Recipe, unidentified: Collection[str]) -> Recipe:
    """Return a recipe without its `unidentified` tendencies and shares of images."""
    if "share" in unidentified:
        rules = tuple(rule for rule in recipe.rules if not isinstance(rule, DropImages))
        recipe = replace(recipe, rules=rules)
    if "strength" in unidentified:
        for row, rule in enumerate(recipe.rules):
            if _has_tendency(rule):
                # Equivalent to strength 0, and faster.
                recipe = _with(_with(recipe, row, "order", "random"), row, "strength", 1.0)
    return recipe


def _fit_parameter(
    recipe: Recipe, free: _FreeParameter, sample: Sample, *, is_known: bool
) -> tuple[Recipe, float]:
    """Fit a parameter, and the drop unless `is_known`; also return by how many standard deviations
    the parameter differs from 0."""
    target = free.measure(sample, sample.removed)
    close = free.deviation(sample)

    def fitted(position: float) -> Recipe:
        changed = _with(recipe, free.rule, free.field, free.value(position))
        return changed if is_known else _fit_drop(changed, sample)[0]

    def measured(position: float) -> float:
        return _mean(lambda removed: free.measure(sample, removed), fitted(position), sample)

    least = measured(0.0)
    start = free.position(_parameter(recipe, free.rule, free.field))
    position = _solve(measured, target, (0.0, least), free.last, start, _CLOSE * close)
    # The mean of a few replicates is uncertain as well.
    deviation = (target - least) / (close * np.sqrt(1 + 1 / _REPLICATES))
    return _with(recipe, free.rule, free.field, free.value(position)), float(deviation)


def _fit_drop(recipe: Recipe, sample: Sample) -> tuple[Recipe, bool]:
    """Fit the share of the last removal to the removed boxes; return whether it is a lower
    bound."""
    last = _dropping(recipe)
    if last is None:
        return recipe, False
    # Exclude images that lost all boxes: their sizes, which are random, only add noise.
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
    # All removable boxes are gone: only the minimums matter.
    is_lower_bound = drop > _NEARLY_ALL and own < drop < 1 and measured(1.0) - target <= close
    return _with(recipe, last, "drop", _roundest(drop, own, recipe, last, sample)), is_lower_bound


def _roundest(drop: float, own: float, recipe: Recipe, row: int, sample: Sample) -> float:
    """Return the recipe's own share, or the roundest one, that reproduces every class's loss.

    A class's rounding depends on the last digits of the share, and people choose round ones. Shares
    of the dataset are exact enough already.
    """
    rule = recipe.rules[row]
    if getattr(rule, "per", "dataset") != "class" or not sample.is_all:
        return drop
    sizes = np.bincount(sample.boxes.category)
    removed = np.bincount(sample.boxes.category[sample.removed], minlength=len(sizes))
    for number in (own, *(round(drop, digits) for digits in range(1, 6))):
        if (np.rint(number * sizes) == removed).all():
            return float(number)
    return drop


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
    """Return where an increasing function reaches `target`, or the nearer end of the interval.

    Regula falsi; if one end stays, its weight is halved (the Illinois method). Positions at which
    the recipe can't be satisfied count as too high.
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
            # The upper end is infeasible or was not tried yet: try it before bisecting.
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
    values = [measure(replicate(recipe, sample, FIT + number)) for number in range(_REPLICATES)]
    return sum(values) / len(values)


def _free_parameters(recipe: Recipe, sample: Sample) -> list[_FreeParameter]:
    found = []
    for row, rule in enumerate(recipe.rules):
        if isinstance(rule, DropImages):
            found.append(_FreeParameter(row, "share", None))
        if _has_tendency(rule) and getattr(rule, "strength", 0.0) > 0:
            weights = propensity(sample.boxes, getattr(rule, "order", "random"))
            found.append(_FreeParameter(row, "strength", weights))
    return found


def _has_tendency(rule: Rule) -> bool:
    """Return whether a rule has a strength that can be fitted, or was fitted to 0."""
    return getattr(rule, "order", None) in TENDENCIES and getattr(rule, "strength", 0.0) < np.inf


def _dropping(recipe: Recipe) -> int | None:
    """Return the row of the last rule that drops a share of the boxes."""
    rows = [row for row, rule in enumerate(recipe.rules) if isinstance(rule, DropFraction)]
    return rows[-1] if rows else None


def _parameter(recipe: Recipe, row: int, name: str) -> float:
    return float(getattr(recipe.rules[row], name))


def _with(recipe: Recipe, row: int, name: str, value: float | str) -> Recipe:
    rules = list(recipe.rules)
    changed: Any = replace(rules[row], **{name: value})
    rules[row] = changed
    return replace(recipe, rules=tuple(rules))
