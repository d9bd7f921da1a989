"""Which candidates reviewers see.

By default those that save more time than they cost. So most of them are right, but far from all. In
studies with annotators, suggestions with high recall were faster to work with, and found more, than
precise ones.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsedet.completeness.costs import ReviewCosts
from sparsedet.errors import ConfigError

Floats = NDArray[np.float64]

_ROUNDING = 1e-9
"""Tolerance for means, which are inexact as floats."""


@dataclass(frozen=True)
class Selection:
    """The criterion for showing a candidate."""

    costs: ReviewCosts
    target_precision: float | None = None
    """Show as many as possible at this expected precision of all shown boxes together, 0 to 1;
    None: those that save time."""

    def __post_init__(self) -> None:
        """Check the precision.

        Raises:
            ConfigError: when it is none.
        """
        wanted = self.target_precision
        if wanted is not None and not 0 <= wanted <= 1:
            raise ConfigError(f"target precision {wanted:g}: expected 0 to 1")

    def shows(self, chances: Floats, object_chances: Floats) -> NDArray[np.bool_]:
        """Return which candidates are shown, shape (N,).

        Args:
            chances: expected precision, shape (N,).
            object_chances: the chance of an object of any class, shape (N,).
        """
        if self.target_precision is not None:
            return np.asarray(chances >= limit_for(chances, self.target_precision))
        return np.asarray(self.costs.saved(chances, object_chances) >= 0)


def limit_for(chances: Floats, target: float) -> float:
    """Return the least expected precision at which boxes together reach a target; inf: none do.

    Args:
        chances: expected precision, shape (N,).
        target: expected precision of all boxes above the limit together, 0 to 1.
    """
    ordered = np.sort(chances)[::-1]
    means = np.cumsum(ordered) / np.arange(1, len(ordered) + 1)
    # Equal ones are shown together.
    last_of_equal = np.append(np.diff(ordered) != 0, True)[: len(ordered)]
    reached = np.flatnonzero(last_of_equal & (means >= target - _ROUNDING))
    return float(ordered[reached[-1]]) if len(reached) else math.inf
