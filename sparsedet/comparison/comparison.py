"""The comparison of a sparse file with its full file."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from sparsedet.annotations.image_names import same_images
from sparsedet.annotations.table import BoolArray
from sparsedet.comparison.explanations import Judgement, Verdict, judge
from sparsedet.comparison.invariants import Observation
from sparsedet.comparison.pairing import Boxes, Pairing, pair
from sparsedet.comparison.replicates import candidates, make_sample, on_images
from sparsedet.comparison.tables import Row, Table, make_row, make_tables, rows
from sparsedet.errors import AnnotationError
from sparsedet.sparsify.recipe import Recipe

AbsentImages = Literal["auto", "removed", "left-out"]
"""What is made of images that the sparse file lacks: their boxes count as removed, or the images
are left out. `auto`: validation images are left out, and all where the sparse file holds other
images without boxes; else recipes are tested both ways."""

_ORDER: dict[Judgement, int] = {"fits": 0, "can't tell": 1, "ruled out": 2}
_WAYS = {"removed": "counted as removed", "left-out": "left out"}


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


def sorted_verdicts(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Return the fitting recipes first, then those that can't be told, then those ruled out."""
    return tuple(sorted(verdicts, key=lambda one: (*_order(one), one.recipe)))


def either(verdicts: Mapping[str, Sequence[Verdict]]) -> list[Verdict]:
    """Return the verdicts of several ways to take absent images as one: what fits one way, fits.

    Args:
        verdicts: Way (`removed`, `left-out`) -> a verdict for every recipe.
    """
    merged = []
    for of_one in zip(*verdicts.values(), strict=True):
        best = min(of_one, key=_order)
        if len({verdict.judgement for verdict in of_one}) == 1:
            # With the parameters that belong to the tables.
            best = best if best.judgement == "ruled out" else of_one[0]
        else:
            absent = next(way for way, one in zip(verdicts, of_one, strict=True) if one is best)
            condition = f"only with absent images {_WAYS[absent]}"
            best = replace(
                best,
                absent="removed" if absent == "removed" else "left-out",
                reason="; ".join(part for part in (condition, best.reason) if part),
            )
        merged.append(best)
    return merged


def conclusion(verdicts: Sequence[Verdict]) -> str:
    """Return what the verdicts come to, in a sentence."""
    fitting = [verdict.recipe for verdict in verdicts if verdict.judgement == "fits"]
    unknown = [verdict.recipe for verdict in verdicts if verdict.judgement == "can't tell"]
    if len(fitting) > 1:
        return f"The data can't tell these apart: {', '.join(fitting)}."
    if unknown and not fitting:
        return f"The data rules these neither in nor out: {', '.join(unknown)}."
    if not fitting:
        return "None of these recipes explains what was removed."
    others = f" (no telling about {', '.join(unknown)})" if unknown else ""
    return (
        f"Of these recipes only {fitting[0]} fits{others}. That does not prove that it made the "
        "file: a rule that is not listed may fit as well."
    )


def _order(verdict: Verdict) -> tuple[int, float]:
    return _ORDER[verdict.judgement], -(verdict.p or 0.0)
