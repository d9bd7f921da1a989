"""Mined boxes that are up for review already are not mined again."""

from collections.abc import Sequence

from sparsedet.mining.matching import SAME_OBJECT_IOU, iou_matrix
from sparsedet.mining.mined import MinedBox


def without_pending(mined: Sequence[MinedBox], pending: Sequence[MinedBox]) -> tuple[MinedBox, ...]:
    """Return the mined boxes that show no object of a pending box of their class."""
    waiting: dict[tuple[int, int], list[MinedBox]] = {}
    for box in pending:
        waiting.setdefault((box.image_id, box.category_id), []).append(box)
    return tuple(
        box for box in mined if not _any_same(box, waiting.get((box.image_id, box.category_id), ()))
    )


def _any_same(box: MinedBox, others: Sequence[MinedBox]) -> bool:
    overlap = iou_matrix([box.xyxy], [other.xyxy for other in others])
    return bool((overlap >= SAME_OBJECT_IOU).any())
