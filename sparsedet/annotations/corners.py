"""Detects files with two corners of each box where the format has its position and size.

Such boxes are valid, but too large, and many reach far beyond their image.
"""

from collections.abc import Iterable, Sequence

from sparsedet.annotations.faults import MAX_LEFT_OUT
from sparsedet.annotations.model import XYXY
from sparsedet.errors import AnnotationError

_FAR = 0.05
"""Share of a side by which a box reaches far beyond its image."""
_ROUNDING = 0.01
"""Share of a side by which corners may be outside, since tools round."""
_FEWEST = 3
"""Minimum number of boxes that reach far out: a few may just be wrong."""


class CornersError(AnnotationError):
    """Corners where position and size are expected."""


Numbers = tuple[Sequence[float], XYXY, tuple[float, float]]
"""The four numbers of a box as in its file, the XYXY box that they mean by its format, and the
(width, height) of its image; all in pixels."""


def seem_corners(boxes: Iterable[Numbers]) -> bool:
    """Whether all boxes would be inside of their images if their numbers were two corners.

    And many are not if read as the format says.
    """
    count = far = 0
    for (x1, y1, x2, y2), (left, top, right, bottom), (width, height) in boxes:
        inside = x2 <= width * (1 + _ROUNDING) and y2 <= height * (1 + _ROUNDING)
        if not (x1 < x2 and y1 < y2 and inside):
            return False
        beyond = max(-left, right - width) / width, max(-top, bottom - height) / height
        count += 1
        far += max(beyond) > _FAR
    return far >= _FEWEST and far > MAX_LEFT_OUT * count
