"""Whether a model is guessing: then its boxes cost reviewers more than they bring."""

from collections.abc import Sequence
from statistics import median

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.ledger import OutcomeCounts

_MANY = 3
"""Mined boxes per annotation; a model that finds more is guessing, unless it is sure of them."""
_SURE = 0.5
"""Thresholds are read off the scores of boxes that people drew, and lie above this where a model
has learned them: 0.66 to 0.9 in rounds that worked, 0.1 to 0.2 after 12 to 40 iterations."""
_UNSURE = 0.25
_JUDGED = 20
_WRONG = 0.8
"""Share of rejected boxes, of at least `_JUDGED`, from which on the last round's were guesses."""


def guessing(mined: Sequence[MinedBox], annotations: int, last: OutcomeCounts | None) -> str | None:
    """Return why mined boxes are most likely wrong; None where nothing says so.

    Args:
        mined: what a round's model found.
        annotations: the boxes that it learned from.
        last: what reviewers made of the round before; None for the first.
    """
    if not mined:
        return None
    threshold = median(box.threshold for box in mined)
    found = f"it found {len(mined)} boxes where {annotations} are annotated"
    if len(mined) > _MANY * annotations and threshold < _SURE:
        return f"{found}, and is sure of few (threshold {threshold:.2f})"
    if len(mined) > annotations and threshold < _UNSURE:
        return f"{found}, and is as unsure of those that people drew (threshold {threshold:.2f})"
    if last is None:
        return None
    judged = last.accepted + last.edited + last.rejected
    if judged >= _JUDGED and last.rejected >= _WRONG * judged and len(mined) > last.total / 2:
        return (
            f"reviewers rejected {last.rejected} of {judged} boxes of the round before, and it "
            f"found {len(mined)} more"
        )
    return None
