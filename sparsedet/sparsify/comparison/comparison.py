"""The comparison of a sparse file with its full file."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from sparsedet.errors import AnnotationError
from sparsedet.sparsify.comparison.boxes import Boxes, candidates, on_images
from sparsedet.sparsify.comparison.pairing import Pairing, pair
from sparsedet.sparsify.comparison.plays import make_sample
from sparsedet.sparsify.comparison.promises import Observation
from sparsedet.sparsify.comparison.tables import Row, Table, make_row, make_tables, rows
from sparsedet.sparsify.comparison.verdicts import Verdict, conclusion, judge
from sparsedet.sparsify.recipe import Recipe

AbsentImages = Literal["auto", "removed", "left-out"]
"""What is made of images that the sparse file lacks: their boxes count as removed, or the images
are left out; `auto` leaves them out where the sparse file holds other images without boxes."""


@dataclass(frozen=True, slots=True)
class Section:
    """A table of what was removed."""

    name: str
    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a sparse file lacks against its full file, and which recipes explain it."""

    total: Row
    """All boxes that were compared."""
    images: int
    """Images with boxes that were compared."""
    untouched: int
    """Of these, images that lost no box."""
    bare: int
    """Images that lost all."""
    sections: tuple[Section, ...]
    verdicts: tuple[Verdict, ...]
    """The fitting recipes first, then those that can't be told, then those ruled out."""
    conclusion: str
    notes: tuple[str, ...]
    """What a reader has to know about the two files."""

    def as_json(self) -> dict[str, Any]:
        """Return everything, for machines."""
        return asdict(self)


def compare(
    full: Boxes,
    sparse: Boxes,
    recipes: Sequence[Recipe],
    *,
    seed: int = 1,
    absent: AbsentImages = "auto",
) -> Comparison:
    """Say what a sparse file lacks against its full file, and which recipes explain it.

    Args:
        full: All boxes.
        sparse: Those that are left; on the same images or fewer.
        recipes: Which of them may have made the sparse file.
        seed: Of the plays that recipes are compared with.
        absent: What is made of images that the sparse file lacks.

    Raises:
        AnnotationError: when the two don't belong together.
    """
    pairing = pair(full, sparse)
    boxes, removed = candidates(full, seed), ~pairing.kept
    notes, changed = _notes(pairing), pairing.changed
    owned = np.bincount(full.image, minlength=len(full.images)) > 0
    if absent_count := int((owned & ~pairing.present).sum()):
        leave_out = absent == "left-out" or (absent == "auto" and pairing.keeps_empty_images)
        notes.append(_absent_note(absent_count, leave_out, absent))
        if leave_out:
            removed = removed[pairing.present[boxes.image]]
            boxes, changed = on_images(boxes, pairing.present), changed[pairing.present]
    if not len(boxes):
        raise AnnotationError("the images that both files hold have no boxes in the full file")
    tables = make_tables(boxes, full.classes)
    sections = tuple(
        Section(table.name, table.title, tuple(rows(table, removed))) for table in tables
    )
    per_image = np.bincount(boxes.image, minlength=len(boxes.images))
    gone = np.bincount(boxes.image[removed], minlength=len(boxes.images))
    total = make_row("all boxes", len(boxes), int(removed.sum()))
    if changed.any():
        # What a rule removed there can't be told from what people changed.
        sound = ~changed[boxes.image]
        tables, removed = [table.select(sound) for table in tables], removed[sound]
        boxes = on_images(boxes, ~changed)
        notes.append(
            f"The tables count {int(changed.sum())} images with such boxes; recipes are tested "
            "without them."
        )
    seen = Observation(boxes, full.classes, removed, is_whole=not changed.any())
    verdicts = _verdicts(recipes, seen, tables)
    return Comparison(
        total=total,
        images=int((per_image > 0).sum()),
        untouched=int(((per_image > 0) & (gone == 0)).sum()),
        bare=int(((per_image > 0) & (gone == per_image)).sum()),
        sections=sections,
        verdicts=verdicts,
        conclusion=conclusion(verdicts),
        notes=tuple(notes),
    )


def _verdicts(
    recipes: Sequence[Recipe], seen: Observation, tables: Sequence[Table]
) -> tuple[Verdict, ...]:
    sample = make_sample(seen.boxes, seen.removed, tables)
    whole = sample
    if not sample.is_all:
        whole = make_sample(seen.boxes, seen.removed, tables, size=len(seen.boxes))
    verdicts = [judge(recipe, seen, sample, whole) for recipe in recipes]
    order = {"fits": 0, "can't tell": 1, "ruled out": 2}
    return tuple(
        sorted(verdicts, key=lambda one: (order[one.judgement], -(one.p or 0.0), one.recipe))
    )


def _notes(pairing: Pairing) -> list[str]:
    found = [
        (pairing.moved, "boxes have another place in the sparse file; they count as kept"),
        (pairing.renamed, "boxes have another class in the sparse file; they count as kept"),
        (pairing.added, "boxes of the sparse file are not in the full file"),
        (pairing.foreign_images, "images of the sparse file are not in the full file"),
    ]
    return [f"{count} {what}." for count, what in found if count]


def _absent_note(count: int, left_out: bool, absent: AbsentImages) -> str:
    lacks, why = f"{count} images with boxes are not in the sparse file", ""
    if left_out:
        if absent == "auto":
            why = ", which holds other images without boxes"
        return f"{lacks}{why}; they are left out."
    if absent == "auto":
        why = ", which holds no image without boxes: whoever wrote it may have left such images out"
    return f"{lacks}{why}. Their boxes count as removed."
