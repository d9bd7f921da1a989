"""The review budget."""

import math
import re
from dataclasses import dataclass

from sparsedet.errors import SparseDetError

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_BUDGET = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(s|min|h)|([0-9]{1,9})-images?")


@dataclass(frozen=True, slots=True)
class Budget:
    """The available review effort: time, or number of images."""

    seconds: float | None = None
    """Reviewers' time in seconds; None: unlimited."""
    images: int | None = None
    """Images to open, a contact sheet counting as one; None: unlimited."""

    def allows(self, seconds: float, images: float) -> bool:
        """Return whether that time and number of images are within the budget."""
        return (self.seconds is None or seconds <= self.seconds) and (
            self.images is None or images <= self.images
        )

    def less(self, seconds: float, images: int) -> "Budget":
        """Return what is left after that time and number of images."""
        return Budget(
            None if self.seconds is None else max(self.seconds - seconds, 0.0),
            None if self.images is None else max(self.images - images, 0),
        )


def parse_budget(text: str) -> Budget:
    """Parse a budget: `90s`, `30min`, `1.5h` or `200-images`.

    Raises:
        SparseDetError: when it is neither a time nor a number of images, or zero.
    """
    found = _BUDGET.fullmatch(text.strip())
    if found and found[3] and int(found[3]) > 0:
        return Budget(images=int(found[3]))
    if found and found[1]:
        seconds = float(found[1]) * _SECONDS[found[2]]
        if 0 < seconds < math.inf:
            return Budget(seconds=seconds)
    raise SparseDetError(
        f"budget {text!r}: expected a time or a number of images above 0, such as 90s, 30min, "
        "1.5h or 200-images"
    )
