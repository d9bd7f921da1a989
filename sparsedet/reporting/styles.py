"""How boxes look in pictures: colour and line for each kind, and the legend that explains them."""

from dataclasses import dataclass
from typing import Literal

from sparsedet.ledger import Outcome

Colour = tuple[int, int, int]
"""BGR, 0 to 255, as OpenCV has it."""


@dataclass(frozen=True, slots=True)
class BoxStyle:
    """How one kind of box is drawn; kinds differ in more than colour where outcomes differ."""

    name: str
    meaning: str
    """What the legend says."""
    colour: Colour
    line: Literal["solid", "dashed", "crossed"] = "solid"

    @property
    def css_colour(self) -> str:
        """The colour as `#rrggbb`."""
        blue, green, red = self.colour
        return f"#{red:02x}{green:02x}{blue:02x}"


HUMAN = BoxStyle("human", "annotated, or approved earlier", (60, 160, 40))
MINED = BoxStyle("mined", "found by mining", (0, 130, 240))
ACCEPTED = BoxStyle("accepted", "mined, accepted as it was", (240, 115, 25))
EDITED = BoxStyle("edited", "mined, moved or renamed by the reviewer", (200, 50, 150))
REJECTED = BoxStyle("rejected", "mined, rejected by the reviewer", (40, 35, 215), "crossed")
PENDING = BoxStyle("pending", "mined, not reviewed yet", MINED.colour, "dashed")

OUTCOME_STYLES: dict[Outcome, BoxStyle] = {
    "accepted": ACCEPTED,
    "edited": EDITED,
    "rejected": REJECTED,
    "pending": PENDING,
}
"""Outcome of a mined box -> its style, in the order of the legend."""
