"""Stratified choice of validation images: each class at its share, units of images kept whole.

Iterative stratification (Sechidis, Tsoumakas, Vlahavas: "On the Stratification of Multi-Label
Data", ECML PKDD 2011): the rarest class chooses first, because later choices could not make up for
it. Here units (sets of images with their boxes) replace examples with labels; if there are few, a
local search then exchanges units between the sides.
"""

from dataclasses import dataclass
from itertools import islice

import numpy as np

from sparsedet.annotations.table import BoolArray, FloatArray, IntArray

_FILLERS = 500
"""Units compared at a time when filling up the number of images."""
_EXCHANGEABLE = 1500
"""Largest number of units for which exchanges are tried; more of them balance out anyway."""
_EXCHANGES = 200
_MARGIN = 0.25
"""Boxes of each class that the smaller side gets beyond its share."""
_SCALE = 2**16
"""Makes weighted counts integers: their sums are exact in any order, on every platform."""


@dataclass(frozen=True, slots=True)
class Units:
    """Sets of images that stay on one side, in the order in which they are drawn.

    The boxes are a sparse table: unit `units[i]` has `counts[i]` boxes of column `columns[i]`.
    """

    images: IntArray
    """Images of each unit, shape (U,)."""
    exhaustive: IntArray
    """Those of them that are exhaustive, shape (U,)."""
    units: IntArray
    """Shape (M,)."""
    columns: IntArray
    """Shape (M,): the classes, from 0. Images without boxes count as a class of their own, so that
    every unit has an entry."""
    counts: IntArray
    """Shape (M,), 1 or more."""


def choose_validation(units: Units, share: float) -> BoolArray:
    """Choose the units for validation, greedily; return a mask of shape (U,).

    Each side gets at least one unit. The number of images comes close to the share, then the boxes
    of every class; a class in several units goes to both sides, a class in a single unit stays in
    training. Exhaustive images go first. All of this holds as far as the units allow.

    Args:
        units: Two or more.
        share: Of the images, and of the boxes of each class, between 0 and 1.
    """
    choice = _Choice(units, share)
    choice.draw()
    choice.fill()
    if len(units.images) <= _EXCHANGEABLE:
        choice.exchange()
    return choice.chosen


def _targets(units: Units, spread: IntArray, share: float) -> tuple[FloatArray, IntArray]:
    """Return validation's target for each column, and the total.

    The last two columns are the numbers of exhaustive images and of all images.
    """
    totals = np.bincount(units.columns, units.counts).astype(np.int64)
    beyond = int(totals.sum()) + 1
    least = np.full(len(totals), beyond)
    np.minimum.at(least, units.columns, units.counts)
    # A unit with a class of its own stays in training, so it is not available for validation.
    common = ~np.isin(units.units, units.units[spread[units.columns] == 1])
    available = np.full(len(totals), beyond)
    np.minimum.at(available, units.columns[common], units.counts[common])
    available[available == beyond] = 0
    # Something of every column for each side; nothing of what only a single unit has.
    wanted = np.minimum(np.maximum(np.rint(share * totals), available), totals - least)
    # One box too many is better than none: a class without boxes can't be evaluated.
    wanted += np.where(wanted > 0, _MARGIN * np.sign(totals - 2 * wanted), 0)
    exhaustive, images = int(units.exhaustive.sum()), int(units.images.sum())
    held_out = min(max(round(share * images), 1), images - 1)
    return (
        np.append(wanted, [min(held_out, exhaustive), held_out]),
        np.append(totals, [exhaustive, images]),
    )


class _Choice:
    """The units chosen so far, and what validation still lacks.

    The last two columns are the numbers of exhaustive images and of all images.
    """

    def __init__(self, units: Units, share: float) -> None:
        self.units = units
        self.chosen: BoolArray = np.zeros(len(units.images), dtype=np.bool_)
        self.spread: IntArray = np.bincount(units.columns)
        """Units that have a column."""
        targets, totals = _targets(units, self.spread, share)
        # The numbers of images weigh as much as all classes together.
        emphasis = np.ones(len(targets))
        emphasis[-2:] = len(self.spread)
        # Deviations are relative to the smaller side, where they matter more; those of exhaustive
        # images to the target, because training may well have none.
        sides = np.minimum(targets, totals - targets)
        sides[-2] = targets[-2]
        self.weights: FloatArray = emphasis / np.maximum(sides, 1) ** 2
        self.weight_list: list[float] = self.weights.tolist()
        self.targets = targets
        self.missing: list[float] = targets.tolist()
        """What validation still lacks in each column; negative if it has too much."""
        self.left = len(units.images)
        """Units left for training."""
        self.held: list[list[tuple[int, int]]] = [[] for _ in range(len(units.images))]
        """Columns and counts of each unit; its images come last."""
        for unit, column, count in zip(
            units.units.tolist(), units.columns.tolist(), units.counts.tolist(), strict=True
        ):
            self.held[unit].append((column, count))
        for held, marked, size in zip(
            self.held, units.exhaustive.tolist(), units.images.tolist(), strict=True
        ):
            held += [(len(self.spread), marked), (len(self.spread) + 1, size)]

    def draw(self) -> None:
        """Let every class, the rarest first, choose among the units without a rarer one."""
        units = self.units
        rarity = np.empty_like(self.spread)
        rarity[np.argsort(self.spread, kind="stable")] = np.arange(len(rarity))
        rarest = np.full(len(self.chosen), len(rarity))
        np.minimum.at(rarest, units.units, rarity[units.columns])
        by_rarity = np.argsort(rarity)
        for unit in self._exhaustive_first(rarest):
            column = int(by_rarity[rarest[unit]])
            count = next(count for held, count in self.held[unit] if held == column)
            if self._reduces(column, count) and self._fits(unit) and self._change(unit) < 0:
                self._choose(unit)

    def fill(self) -> None:
        """Fill up the number of images, at the least cost to the classes."""
        waiting = [unit for unit in self._exhaustive_first() if not self.chosen[unit]]
        while candidates := list(islice(filter(self._fits, waiting), _FILLERS)):
            best = min(candidates, key=self._change)
            self._choose(best)
            waiting.remove(best)
        if not self.chosen.any():
            # Every unit has too many images: take the one closest to the target.
            self._choose(min(waiting, key=self._change))

    def exchange(self) -> None:
        """Move and exchange units between the sides as long as that reduces the deviation."""
        empty = len(self.chosen)
        """Index of the empty unit: a move is an exchange with it."""
        amounts = self._amounts()
        overlap = amounts @ amounts.T
        images = np.append(self.units.images, 0)
        slack = int(self.units.images.sum()) // empty // 2
        goal = np.rint(_SCALE * self.targets * np.sqrt(self.weights))
        for _ in range(_EXCHANGES):
            held = np.flatnonzero(self.chosen)
            others = np.flatnonzero(~self.chosen)
            lacking = goal - amounts[held].sum(axis=0)
            # A side's last unit can only be exchanged.
            leaving = np.append(held, empty) if len(others) > 1 else held
            coming = np.append(others, empty) if len(held) > 1 else others
            change = (
                (overlap[leaving, leaving] + 2 * amounts[leaving] @ lacking)[:, None]
                + (overlap[coming, coming] - 2 * amounts[coming] @ lacking)[None]
                - 2 * overlap[np.ix_(leaving, coming)]
            )
            off = abs(self.missing[-1])
            missing = self.missing[-1] + images[leaving][:, None] - images[coming][None]
            change[np.abs(missing) > max(off, slack)] = np.inf
            row, column = np.unravel_index(np.argmin(change), change.shape)
            if change[row, column] >= 0:
                return
            if leaving[row] != empty:
                self._choose(int(leaving[row]), back=True)
            if coming[column] != empty:
                self._choose(int(coming[column]))

    def _amounts(self) -> FloatArray:
        """Return each unit's weighted counts as whole numbers; the last row is the empty unit."""
        amounts = np.zeros((len(self.chosen) + 1, len(self.missing)))
        amounts[self.units.units, self.units.columns] = self.units.counts
        amounts[:-1, -2] = self.units.exhaustive
        amounts[:-1, -1] = self.units.images
        return np.asarray(np.rint(_SCALE * amounts * np.sqrt(self.weights)))

    def _exhaustive_first(self, before: IntArray | None = None) -> list[int]:
        """Return the units in the order of `before`, then of their share of exhaustive images."""
        share = self.units.exhaustive / self.units.images
        keys = (-share,) if before is None else (-share, before)
        order: list[int] = np.lexsort(keys).tolist()
        return order

    def _fits(self, unit: int) -> bool:
        """Return whether the unit reduces the deviation in images and leaves one for training."""
        return self._reduces(*self.held[unit][-1]) and self.left > 1

    def _reduces(self, column: int, count: int) -> bool:
        return count < 2 * self.missing[column]

    def _change(self, unit: int) -> float:
        """Return the change in the sum of squared relative deviations with the unit."""
        return sum(
            self.weight_list[column] * count * (count - 2 * self.missing[column])
            for column, count in self.held[unit]
        )

    def _choose(self, unit: int, *, back: bool = False) -> None:
        """Move the unit to validation, or back to training."""
        sign = -1 if back else 1
        self.chosen[unit] = not back
        self.left -= sign
        for column, count in self.held[unit]:
            self.missing[column] -= sign * count
