"""The number of objects without annotation, by the scores of hidden annotations.

It follows from the scores at which nearly all candidates are objects: the best bin of Garg et
al., "Mixture Proportion Estimation and PU Learning: A Modern Approach", NeurIPS 2021.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sparsedet.mining.candidates import RIGHT, UNKNOWN, WRONG_CLASS, Candidates

_BIN_SPREAD = 0.12
"""Relative error of the best bin: not everything with a high score is an object."""
_FEWEST_IN_BIN = 10


class Count(NamedTuple):
    """An uncertain number of objects."""

    mean: float
    spread: float
    """Standard deviation of its logarithm."""


def best_bin(candidates: Candidates, hidden: int) -> Count | None:
    """Return the number of objects without annotation.

    Among score thresholds, the one with the least upper bound is used.

    Args:
        candidates: all, including those on hidden annotations.
        hidden: number of hidden annotations, detected or not.

    Returns:
        None if too few hidden annotations were detected.
    """
    on_hidden = (candidates.known == RIGHT) | (candidates.known == WRONG_CLASS)
    found = np.sort(candidates.object_scores[on_hidden])[::-1]
    others = np.sort(candidates.object_scores[candidates.known == UNKNOWN])
    first = max(_FEWEST_IN_BIN, len(found) // 2)
    if len(found) < first or not len(others):
        return None
    counts = np.arange(first, len(found) + 1)
    above = len(others) - np.searchsorted(others, found[first - 1 :], side="left")
    share = counts / hidden
    objects = np.maximum(above, 1) / share
    spread = np.sqrt(np.maximum(1 - share, 0.0) / counts + 1 / np.maximum(above, 1))
    best = int((objects * (1 + spread)).argmin())
    return Count(float(objects[best]), float(np.hypot(spread[best], _BIN_SPREAD)))


def combined(counts: Sequence[Count]) -> tuple[float, float] | None:
    """Combine several estimates of a number: return its logarithm and standard deviation."""
    if not counts:
        return None
    weights = np.array([count.spread**-2 for count in counts])
    logs = np.log([max(count.mean, 1.0) for count in counts])
    return float(weights @ logs / weights.sum()), float(weights.sum() ** -0.5)
