"""The comparison of a sparse file with its full file."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sparsedet.annotations.image_names import same_images
from sparsedet.annotations.table import BoolArray
from sparsedet.comparison.boxes import Boxes, candidates, on_images
from sparsedet.comparison.explanations import Verdict, judge
from sparsedet.comparison.pairing import Pairing, pair
from sparsedet.comparison.plays import make_sample
from sparsedet.comparison.promises import Observation
from sparsedet.comparison.readings import AbsentImages, readings
from sparsedet.comparison.summary import conclusion, either, sorted_verdicts
from sparsedet.comparison.tables import Row, Table, make_row, make_tables, rows
from sparsedet.errors import AnnotationError
from sparsedet.sparsify.recipe import Recipe


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
    validation: Collection[str] = (),
) -> Comparison:
    """Say what a sparse file lacks against its full file, and which recipes explain it.

    Args:
        full: All boxes.
        sparse: Those that are left; on the same images or fewer.
        recipes: Which of them may have made the sparse file.
        seed: Of the plays that recipes are compared with.
        absent: What is made of images that the sparse file lacks.
        validation: File names of images known to be held out for validation.

    Raises:
        AnnotationError: when the two don't belong together.
    """
    pairing = pair(full, sparse)
    notes, changed = _notes(pairing), pairing.changed
    owned = np.bincount(full.image, minlength=len(full.images)) > 0
    ways, told = readings(
        owned & ~pairing.present,
        _named(full, validation),
        keeps_empty=pairing.keeps_empty_images,
        absent=absent,
    )
    notes += [told] if told else []
    every, counted = candidates(full, seed), ~ways[0].left_out
    boxes, removed = on_images(every, counted), ~pairing.kept[counted[full.image]]
    if not len(boxes):
        raise AnnotationError("the images that both files hold have no boxes in the full file")
    tables = make_tables(boxes, full.classes)
    if changed.any():
        notes.append(
            f"The tables count {int(changed.sum())} images with such boxes; recipes are tested "
            "without them."
        )
    verdicts: dict[str, Sequence[Verdict]] = {}
    for way in ways:
        # What a rule removed from images that people changed can't be told from their changes.
        tested = ~way.left_out & ~changed
        inside = tested[full.image]
        verdicts[way.absent] = _verdicts(
            recipes,
            Observation(
                on_images(every, tested),
                full.classes,
                ~pairing.kept[inside],
                is_whole=way.is_whole and not changed.any(),
            ),
            [table.select(inside[counted[full.image]]) for table in tables],
        )
    judged = sorted_verdicts(either(verdicts))
    per_image = np.bincount(boxes.image, minlength=len(boxes.images))
    gone = np.bincount(boxes.image[removed], minlength=len(boxes.images))
    return Comparison(
        total=make_row("all boxes", len(boxes), int(removed.sum())),
        images=int((per_image > 0).sum()),
        untouched=int(((per_image > 0) & (gone == 0)).sum()),
        bare=int(((per_image > 0) & (gone == per_image)).sum()),
        sections=tuple(
            Section(table.name, table.title, tuple(rows(table, removed))) for table in tables
        ),
        verdicts=judged,
        conclusion=conclusion(judged),
        notes=tuple(notes),
    )


def _named(full: Boxes, names: Collection[str]) -> BoolArray:
    """Return which images of the full file have these names; shape (I,)."""
    found = np.zeros(len(full.images), dtype=np.bool_)
    # In order: whichever of two names an image has must not depend on the collection's.
    same = same_images(sorted(names), [image.file_name for image in full.images])
    found[[row for row in same if row is not None]] = True
    return found


def _verdicts(
    recipes: Sequence[Recipe], seen: Observation, tables: Sequence[Table]
) -> list[Verdict]:
    sample = make_sample(seen.boxes, seen.removed, tables, is_whole=seen.is_whole)
    whole = sample
    if len(sample.boxes) < len(seen.boxes):
        whole = make_sample(
            seen.boxes, seen.removed, tables, size=len(seen.boxes), is_whole=seen.is_whole
        )
    return [judge(recipe, seen, sample, whole) for recipe in recipes]


def _notes(pairing: Pairing) -> list[str]:
    found = [
        (pairing.moved, "boxes have another place in the sparse file; they count as kept"),
        (pairing.renamed, "boxes have another class in the sparse file; they count as kept"),
        (pairing.added, "boxes of the sparse file are not in the full file"),
        (pairing.foreign_images, "images of the sparse file are not in the full file"),
    ]
    return [f"{count} {what}." for count, what in found if count]
