"""Calibration check: expected precision against the share of boxes that reviewers accepted.

Accepted is defined as in the calibration: with its class, regardless of moved edges.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from sparsedet.ledger import LedgerBox

BINS = 10
"""Number of bins of equal width, from 0 to 1."""
_Z = 1.6448536269514722
"""Normal quantile of a two-sided 90 % interval."""


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The judged boxes in a range of expected precision."""

    low: float
    """Bounds of the range, 0 to 1; a box at `high` is in the next bin."""
    high: float
    boxes: int
    expected: float
    """Mean expected precision of its boxes."""
    accepted: float
    """Share of them that reviewers accepted with their class."""
    span: tuple[float, float]
    """Bounds of the 90 % Wilson score interval of `accepted`."""

    @property
    def label(self) -> str:
        """The range as text."""
        return f"{100 * self.low:.0f}-{100 * self.high:.0f} %"


def reliability(boxes: Iterable[LedgerBox]) -> list[ReliabilityBin]:
    """Return the non-empty bins, by ascending expected precision.

    Excludes boxes without an expected precision.
    """
    found: dict[int, list[tuple[float, bool]]] = {}
    for box in boxes:
        expected = box.expected_precision
        if expected is not None and box.is_judged:
            number = min(int(expected * BINS), BINS - 1)
            found.setdefault(number, []).append((expected, box.final_category == box.category))
    return [_bin(number, found[number]) for number in sorted(found)]


def _bin(number: int, judged: list[tuple[float, bool]]) -> ReliabilityBin:
    accepted = sum(is_accepted for _, is_accepted in judged)
    return ReliabilityBin(
        low=number / BINS,
        high=(number + 1) / BINS,
        boxes=len(judged),
        expected=sum(expected for expected, _ in judged) / len(judged),
        accepted=accepted / len(judged),
        span=wilson(accepted, len(judged)),
    )


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the 90 % Wilson score interval of a share over at least one trial."""
    share, spread = successes / trials, _Z**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    return max(centre - half, 0.0), min(centre + half, 1.0)
