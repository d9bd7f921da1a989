"""The shares of an image's boxes, and of whole images, that make what was removed most likely.

A rule that drops a share of every image rounds it up or down, with known chances; so what every
single image lost tells the share far better than sums over images do.
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
"""The share is looked for on a grid, then on a finer one around the best, and so on."""
_ROUNDS = 60
_WORSE = 2.0
"""Natural logarithm of a likelihood: a round number so much less likely than the best share fits as
well (a deviation of 2)."""
_NEVER = 1e-300


@dataclass(frozen=True, slots=True)
class Likeliest:
    """What makes the removed boxes of a sample most likely."""

    drop: float
    """The share of every image's boxes; round where a round one is as likely."""
    is_open: bool
    """Any share from `drop` up does: all that may go is gone."""
    images: float
    """The share of images that lost all boxes before."""
    deviation: float
    """By how many standard deviations that shows; 0 without such a rule."""


def likeliest(recipe: Recipe, sample: Sample) -> Likeliest | None:
    """Return the likeliest shares; None for recipes whose chances are not known.

    Known are those of a share of every image or of every class in an image, after whole images or
    not, with minimums that spare a number of boxes which chance does not change.
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
    """What G groups of boxes lost; equal ones are counted together."""

    def __init__(self, sizes: IntArray, removed: IntArray, spare: IntArray, mixed: bool) -> None:
        kinds, counts = np.unique(np.stack((sizes, removed, spare)), axis=1, return_counts=True)
        self.sizes, self.removed, self.spare = kinds.astype(np.float64)
        self.counts = counts.astype(np.float64)
        self.bare = mixed & (self.removed == self.sizes)
        """Kinds that may have lost all boxes to the rule before."""
        self.mixed = mixed

    def best(self, own: float) -> Likeliest:
        """Return the likeliest shares; the recipe's `own` drop where it is about as likely."""
        drop, most = self._best_drop(self.bare)
        is_open = bool(self._log(np.array([1.0]), self.bare)[0] >= most - 1e-9)
        for number in (own, *(round(drop, digits) for digits in range(1, 5))):
            if self._log(np.array([number]), self.bare)[0] >= most - _WORSE:
                drop, is_open = number, is_open and number != own
                break
        images = float(self._mixed(np.array([drop]), self.bare)[1][0]) if self.mixed else 0.0
        _, without = self._best_drop(np.zeros_like(self.bare))
        return Likeliest(drop, is_open, images, float(np.sqrt(max(2 * (most - without), 0.0))))

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
        """Return the logarithm of the likelihood of every drop; shape (D,)."""
        return self._mixed(drops, bare)[0]

    def _mixed(self, drops: FloatArray, bare: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Return that with the likeliest share of images, and this share; both of shape (D,)."""
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
        """Return the chance that every kind of group loses what it lost; shape (D, kinds)."""
        limit = drops[:, None] * self.sizes[kinds]
        removed = self.removed[kinds]
        off = limit - removed
        # Where all that may go is gone, any higher limit does as well.
        chance = np.where(removed == self.spare[kinds], np.minimum(1 + off, 1), 1 - np.abs(off))
        result: FloatArray = np.maximum(chance, _NEVER)
        return result
