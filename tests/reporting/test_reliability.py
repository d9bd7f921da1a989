"""Reviewers' acceptance against expected precision."""

import pytest

from sparsedet.ledger import LedgerBox
from sparsedet.reporting.reliability import reliability, wilson


def box(expected: float | None, outcome: str, final: str | None = "cell") -> LedgerBox:
    category = final if outcome in ("accepted", "edited") else None
    return LedgerBox(
        expected_precision=expected, outcome=outcome, category="cell", final_category=category
    )


def test_judged_boxes_are_counted_by_their_expected_precision() -> None:
    boxes = [
        box(0.91, "accepted"),
        box(0.95, "edited"),
        box(1.0, "rejected"),
        # An object, but not of the class that was promised.
        box(0.90, "edited", "dust"),
        box(0.30, "rejected"),
        box(0.30, "pending"),
        box(0.30, "withdrawn"),
        box(None, "accepted"),
    ]

    low, high = reliability(boxes)

    assert (low.label, low.boxes, low.expected, low.accepted) == ("30-40 %", 1, 0.3, 0)
    assert (high.label, high.boxes, high.accepted) == ("90-100 %", 4, 0.5)
    assert high.expected == pytest.approx(0.94)
    assert high.span == wilson(2, 4)
    assert reliability(boxes[-3:]) == []


def test_intervals_are_those_of_wilson() -> None:
    # Solves (share - p)^2 = z^2 p (1 - p) / n.
    for successes, trials in ((0, 5), (5, 5), (7, 20), (300, 1000)):
        share = successes / trials
        for end in wilson(successes, trials):
            spread = 1.6448536**2 * end * (1 - end) / trials
            assert (share - end) ** 2 == pytest.approx(spread, abs=1e-6)
