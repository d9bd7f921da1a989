"""A budget of review: so much time, or so many images."""

import re
from dataclasses import dataclass

from sparsedet.errors import SparseDetError

_UNITS = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}
_TEXT = re.compile(r"(\d+(?:\.\d+)?)[ -]?(s|sec|m|min|h|images?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Budget:
    """What reviewers may spend; None: as much as they like."""

    seconds: float | None = None
    images: int | None = None

    def allows(self, seconds: float, images: int) -> bool:
        """Return whether so much time and so many images are within the budget."""
        return (self.seconds is None or seconds <= self.seconds) and (
            self.images is None or images <= self.images
        )


def parse_budget(text: str) -> Budget:
    """Read a budget such as `90s`, `30min`, `1.5h` or `200-images`.

    Raises:
        SparseDetError: when it is none.
    """
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise SparseDetError(
            f"budget {text!r}: expected a time or a number of images, such as "
            "30min, 1.5h or 200-images"
        )
    number, unit = float(match[1]), match[2].lower()
    if not unit.startswith("image"):
        budget = Budget(seconds=number * _UNITS[unit])
    elif number != int(number):
        raise SparseDetError(f"budget {text!r}: expected a whole number of images")
    else:
        budget = Budget(images=int(number))
    if not number:
        raise SparseDetError(f"budget {text!r}: expected more than nothing")
    return budget
