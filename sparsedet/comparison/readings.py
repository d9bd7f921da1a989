"""Images that the sparse file lacks: they lost all boxes, or were held out."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sparsedet.annotations.table import BoolArray

AbsentImages = Literal["auto", "removed", "left-out"]
"""What is made of images that the sparse file lacks: their boxes count as removed, or the images
are left out. `auto`: validation images are left out, and all where the sparse file holds other
images without boxes; else recipes are tested both ways."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One way to take it, of I images."""

    absent: Literal["removed", "left-out"]
    left_out: BoolArray
    """Shape (I,): images that do not count."""
    is_whole: bool
    """All others are what a recipe was applied to, no more and no fewer: what it promises of a
    class or of the dataset holds for them."""


def readings(
    lacking: BoolArray, held_out: BoolArray, *, keeps_empty: bool, absent: AbsentImages
) -> tuple[list[Reading], str | None]:
    """Return the ways to take it, the one for tables first, and what to tell about them.

    Args:
        lacking: Which images with boxes the sparse file lacks; shape (I,).
        held_out: Which images are known to be held out for validation; shape (I,).
        keeps_empty: The sparse file holds images without boxes.
        absent: What the user says.
    """
    count, validation = int(lacking.sum()), lacking & held_out
    rest = int((lacking & ~held_out).sum())
    none = np.zeros_like(lacking)
    if not count:
        return [Reading("removed", none, is_whole=True)], None
    lacks = f"{count} images with boxes are not in the sparse file"
    if absent == "removed":
        return [Reading("removed", none, is_whole=True)], f"{lacks}. Their boxes count as removed."
    left_out = Reading("left-out", lacking, is_whole=not rest)
    if absent == "left-out":
        return [left_out], f"{lacks}; they are left out."
    if rest < count:
        lacks += f", of which {count - rest} are validation images" if rest else ""
    if not rest:
        return [left_out], f"{lacks}: they are validation images, and left out."
    if keeps_empty:
        return [left_out], f"{lacks}, which holds other images without boxes; they are left out."
    return [Reading("removed", validation, is_whole=True), left_out], (
        f"{lacks}, which holds no image without boxes: {'the others' if rest < count else 'they'} "
        "may have lost all boxes, or be left out for another reason. The tables count their boxes "
        "as removed; recipes are tested both ways (--absent-images removed or left-out says which)."
    )
