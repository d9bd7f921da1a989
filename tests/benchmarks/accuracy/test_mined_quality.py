"""What the boxes lie on that a training mined for itself."""

from benchmarks.accuracy.mined_quality import MinedQuality, quality
from sparsedet.annotations import XYXY, Box

FIRST: XYXY = (0, 0, 100, 100)
UNLABELLED: XYXY = (200, 200, 300, 300)
# IoU 0.25 with UNLABELLED, and wholly inside of it.
INSIDE: XYXY = (200, 200, 250, 250)


def test_mined_boxes_are_told_apart_by_what_they_lie_on() -> None:
    removed = [Box(1, 1, 1, FIRST), Box(2, 1, 2, UNLABELLED), Box(3, 2, 1, FIRST)]
    mined = [
        Box(1, 1, 1, FIRST),  # the class too
        Box(2, 1, 1, UNLABELLED),  # another class
        Box(3, 1, 1, FIRST),  # a second time
        Box(4, 1, 2, INSIDE),  # not enough of it
        Box(5, 3, 1, FIRST),  # no such object, but one without a label
        Box(6, 3, 2, UNLABELLED),  # the same, of another class
    ]
    unlabelled = [Box(1, 3, 1, FIRST), Box(2, 3, 1, UNLABELLED)]
    assert quality(mined, removed, unlabelled) == MinedQuality(
        boxes=6, on_removed=2, right_class=1, on_unlabelled=1
    )
    assert quality(mined[:2], removed, []) == MinedQuality(
        boxes=2, on_removed=2, right_class=1, on_unlabelled=None
    )
    assert quality([], removed, unlabelled).boxes == 0
