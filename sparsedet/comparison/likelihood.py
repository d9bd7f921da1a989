"""Maximum likelihood estimates of the removed shares of each image's boxes, and of whole images.

A rule that drops a share of every image rounds it up or down with known probabilities, so the loss
of each single image determines the share far better than sums over images do.
"""

from dataclasses import dataclass

import numpy as np

from sparsedet.annotations.table import BoolArray, FloatArray, IntArray
from sparsedet.comparison.invariants import Observation, spare_boxes
from sparsedet.comparison.replicates import Sample
from sparsedet.sparsify.recipe import Recipe
from sparsedet.sparsify.rules import DropFraction, DropImages, KeepAtLeast, Removal

_GRID = 400
_ZOOMS = 3
"""Grid searches, each on a finer grid around the best value."""
_ROUNDS = 60
_WORSE = 2.0
"""Difference in log-likelihood up to which a round share is as good as the best one (two standard
deviations)."""
_NEVER = 1e-300


@dataclass(frozen=True, slots=True)
class Estimate:
    """Maximum likelihood estimates for a sample."""

    drop: float
    """The share of every image's boxes; a round number if about as likely."""
    is_lower_bound: bool
    """Whether any higher `drop` is as likely: all removable boxes are gone."""
    images: float
    """The share of images that lost all boxes to the preceding rule."""
    deviation: float
    """The significance of `images` in standard deviations; 0 without such a rule."""


def maximum_likelihood(recipe: Recipe, sample: Sample) -> Estimate | None:
    """Return the most likely shares; None for recipes whose likelihood is unknown.

    It is known for a share of every image or of every class in an image, with or without a
    preceding removal of whole images, and with minimums that protect a fixed number of boxes.
    """
    minimums = [rule for rule in recipe.rules if isinstance(rule, KeepAtLeast)]
    removals = [rule for rule in recipe.rules if isinstance(rule, Removal)]
    rule, before = removals[-1], removals[:-1]
    if not isinstance(rule, DropFraction) or rule.per not in ("image", "class-in-image"):
        return None
    mixed = [type(one) for one in before] == [DropImages]
    if before and not (mixed and rule.per == "image" and not minimums):
        return None
    seen = Observation(sample.boxes, (), sample.removed, is_whole=True)
    groups = seen.grouped(rule.per)
    spare, most = spare_boxes(groups, minimums, seen)
    if (spare != most).any():
        return None
    return _Images(groups.sizes, groups.removed, spare, mixed).best(rule.drop)


class _Images:
    """What G groups of boxes lost, with equal groups pooled."""

    def __init__(self, sizes: IntArray, removed: IntArray, spare: IntArray, mixed: bool) -> None:
        kinds, counts = np.unique(np.stack((sizes, removed, spare)), axis=1, return_counts=True)
        self.sizes, self.removed, self.spare = kinds.astype(np.float64)
        self.counts = counts.astype(np.float64)
        self.bare = mixed & (self.removed == self.sizes)
        """Groups that may have lost all boxes to the preceding rule."""
        self.mixed = mixed

    def best(self, own: float) -> Estimate:
        """Return the most likely shares; the recipe's `own` drop if about as likely."""
        drop, most = self._best_drop(self.bare)
        is_lower_bound = bool(self._log(np.array([1.0]), self.bare)[0] >= most - 1e-9)
        for number in (own, *(round(drop, digits) for digits in range(1, 5))):
            if self._log(np.array([number]), self.bare)[0] >= most - _WORSE:
                drop, is_lower_bound = number, is_lower_bound and number != own
                break
        images = float(self._mixed(np.array([drop]), self.bare)[1][0]) if self.mixed else 0.0
        _, without = self._best_drop(np.zeros_like(self.bare))
        return Estimate(
            drop, is_lower_bound, images, float(np.sqrt(max(2 * (most - without), 0.0)))
        )

    def _best_drop(self, bare: BoolArray) -> tuple[float, float]:
        low, high = 0.0, 1.0
        best, most = 0.0, -np.inf
        for _ in range(_ZOOMS):
            grid: FloatArray = np.linspace(low, high, _GRID + 1, dtype=np.float64)
            values = self._log(grid, bare)
            row = int(values.argmax())
            if values[row] > most:
                best, most = float(grid[row]), float(values[row])
            low, high = grid[max(row - 1, 0)], grid[min(row + 1, _GRID)]
        return best, most

    def _log(self, drops: FloatArray, bare: BoolArray) -> FloatArray:
        """Return the log-likelihood of every drop; shape (D,)."""
        return self._mixed(drops, bare)[0]

    def _mixed(self, drops: FloatArray, bare: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Return the log-likelihoods with the best share of images, and this share; shape (D,)."""
        rest: FloatArray = np.log(self._chance(drops, ~bare)) @ self.counts[~bare]
        total = self.counts.sum()
        share = np.zeros(len(drops))
        if not bare.any():
            return rest, share
        chance, counts = self._chance(drops, bare), self.counts[bare]
        share += counts.sum() / total
        for _ in range(_ROUNDS):  # expectation maximisation
            either = share[:, None] + (1 - share[:, None]) * chance
            share = (share[:, None] / np.maximum(either, _NEVER)) @ counts / total
        either = share[:, None] + (1 - share[:, None]) * chance
        others = np.log(np.maximum(1 - share, _NEVER)) * self.counts[~bare].sum()
        return rest + others + np.log(np.maximum(either, _NEVER)) @ counts, share

    def _chance(self, drops: FloatArray, kinds: BoolArray) -> FloatArray:
        """Return the probability of what every kind of group lost; shape (D, kinds)."""
        limit = drops[:, None] * self.sizes[kinds]
        removed = self.removed[kinds]
        off = limit - removed
        # If all removable boxes are gone, any higher limit is as likely.
        chance = np.where(removed == self.spare[kinds], np.minimum(1 + off, 1), 1 - np.abs(off))
        result: FloatArray = np.maximum(chance, _NEVER)
        return result
