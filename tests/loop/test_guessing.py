"""Detecting guessing models."""

import pytest

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.ledger import OutcomeCounts
from sparsedet.loop.guessing import guessing


@pytest.mark.parametrize(
    ("mined", "threshold", "annotations", "last", "expected"),
    [
        (0, 0.1, 10, None, None),
        (349, 0.9, 524, None, None),  # the first round of the demo
        (900, 0.8, 100, None, None),  # very sparse, but sure
        (40, 0.12, 90, None, None),  # unsure, but modest
        (400, 0.4, 100, None, "400 boxes for 100 annotations"),
        (150, 0.12, 100, None, "scores annotated objects as low"),
        (60, 0.7, 100, OutcomeCounts(accepted=2, rejected=48), "rejected 48 of 50"),
        (20, 0.7, 100, OutcomeCounts(accepted=2, rejected=48), None),  # it got more modest
        (60, 0.7, 100, OutcomeCounts(accepted=20, rejected=30), None),
        (60, 0.7, 100, OutcomeCounts(rejected=10), None),  # too few to tell
    ],
)
def test_who_is_guessing(
    mined: int,
    threshold: float,
    annotations: int,
    last: OutcomeCounts | None,
    expected: str | None,
) -> None:
    boxes = [MinedBox(str(n), 1, 1, (0, 0, 9, 9), 0.9, threshold) for n in range(mined)]
    reason = guessing(boxes, annotations, last)
    assert (reason is None) == (expected is None)
    assert expected is None or (reason and expected in reason)
