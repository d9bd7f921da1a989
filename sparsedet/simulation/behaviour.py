"""How human the scripted reviewer is: oversights, slips, a shaky hand, and time."""

import math
from dataclasses import dataclass

from sparsedet.errors import SparseDetError

MAX_JITTER = 0.2
"""Edges move by at most two standard deviations: up to here a corrected box keeps an area."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The faults and the speed of a reviewer; the default makes no mistakes.

    Raises:
        SparseDetError: naming the first value that is out of its range.
    """

    misses: float = 0.0
    """Probability that a wrong mined box is overlooked and stays, 0 to 1."""
    wrong_clicks: float = 0.0
    """Probability that a right mined box is deleted, 0 to 1."""
    jitter: float = 0.0
    """Standard deviation of each edge of a corrected box, as a share of the object's width or
    height, 0 to `MAX_JITTER`."""
    seconds_per_image: float = 2.0
    """Time to look at an image."""
    seconds_per_action: float = 1.5
    """Time to correct or delete a box, on top; keeping one takes none."""

    def __post_init__(self) -> None:
        for name, most in (("misses", 1.0), ("wrong_clicks", 1.0), ("jitter", MAX_JITTER)):
            value = getattr(self, name)
            if not 0 <= value <= most:  # refuses nan, too
                raise SparseDetError(f"{name} is {value}, expected a share from 0 to {most:g}")
        for name in ("seconds_per_image", "seconds_per_action"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise SparseDetError(f"{name} is {value}, expected seconds, 0 or more")


FAULTLESS = Behaviour()
"""A reviewer who makes no mistakes."""
