"""Detect a guessing model, whose boxes cost reviewers more than they bring."""

from collections.abc import Sequence
from statistics import median

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.ledger import OutcomeCounts
from sparsedet.wording import counted

_MANY = 3
"""Mined boxes per annotation above which a model counts as guessing, unless it is confident."""
_SURE = 0.5
"""Thresholds come from the scores of annotated objects. A trained model scores above this: 0.66
to 0.9 in rounds that worked, 0.1 to 0.2 after 12 to 40 iterations."""
_UNSURE = 0.25
_JUDGED = 20
_WRONG = 0.8
"""Share of rejected boxes (of at least `_JUDGED`) above which the last round was guessing."""


def guessing(mined: Sequence[MinedBox], annotations: int, last: OutcomeCounts | None) -> str | None:
    """Return why mined boxes are most likely wrong; None if nothing suggests that.

    Args:
        mined: boxes mined by the round's model.
        annotations: number of boxes it was trained on.
        last: review outcomes of the previous round; None for the first.
    """
    if not mined:
        return None
    threshold = median(box.threshold for box in mined)
    found = f"it found {counted(len(mined), 'box')} for {counted(annotations, 'annotation')}"
    if len(mined) > _MANY * annotations and threshold < _SURE:
        return f"{found}, few of them with confidence (threshold {threshold:.2f})"
    if len(mined) > annotations and threshold < _UNSURE:
        return f"{found}, and scores annotated objects as low (threshold {threshold:.2f})"
    if last is None:
        return None
    mostly_wrong = last.judged >= _JUDGED and last.rejected >= _WRONG * last.judged
    if mostly_wrong and len(mined) > last.total / 2:
        return (
            f"reviewers rejected {last.rejected} of {last.judged} boxes of the previous round, and "
            f"it found {len(mined)} more"
        )
    return None
