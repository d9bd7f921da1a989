"""Paired ratios of measurements that took turns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ratio:
    """How many times a base something takes."""

    median: float
    low: float
    """The lower quartile."""
    high: float
    """The upper quartile."""

    def __str__(self) -> str:
        """Show it as in the table."""
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def paired_ratio(values: Sequence[float], base: Sequence[float]) -> Ratio:
    """Return the median and quartiles of `values[i] / base[i]`, of one round each."""
    ratios = np.divide(np.asarray(values), np.asarray(base, dtype=float))
    low, median, high = (float(value) for value in np.percentile(ratios, [25, 50, 75]))
    return Ratio(median, low, high)


def turns(names: Sequence[str], number: int) -> Sequence[str]:
    """Return the order of a round: each goes first, and follows another, in turn."""
    start = number % len(names)
    order = [*names[start:], *names[:start]]
    return order if number // len(names) % 2 == 0 else order[::-1]
