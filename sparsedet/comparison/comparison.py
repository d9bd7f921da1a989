"""Compare a sparse file with its full file: what was removed, and what explains it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from sparsedet.annotations.class_marks import ClassMarks
from sparsedet.annotations.image_names import same_images
from sparsedet.annotations.table import BoolArray
from sparsedet.comparison.explanations import Explanation, Judgement, explain
from sparsedet.comparison.invariants import Observation
from sparsedet.comparison.pairing import Boxes, Pairing, pair
from sparsedet.comparison.replicates import candidates, make_sample, on_images
from sparsedet.comparison.tables import Row, Table, make_row, make_tables, rows
from sparsedet.errors import AnnotationError
from sparsedet.sparsify.recipe import Recipe
from sparsedet.wording import counted

AbsentImages = Literal["auto", "removed", "left-out"]
"""How to interpret images that the sparse file lacks: all their boxes were removed, or the images
were left out. `auto`: validation images were left out, and all absent images where the sparse file
has others without boxes; otherwise recipes are tested under both interpretations."""

_ORDER: dict[Judgement, int] = {"fits": 0, "can't tell": 1, "ruled out": 2}
_INTERPRETED = {"removed": "counted as removed", "left-out": "left out"}
_JSON_KEYS = {"explanations": "verdicts"}


@dataclass(frozen=True, slots=True)
class Section:
    """A table of what was removed."""

    name: str
    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a sparse file lacks, and which recipes explain it."""

    total: Row
    """All compared boxes."""
    images: int
    """Number of images with compared boxes."""
    untouched: int
    """Number of these images that lost no box."""
    bare: int
    """Number of images that lost all boxes."""
    sections: tuple[Section, ...]
    explanations: tuple[Explanation, ...]
    """Recipes that fit first, then undecided ones, then those ruled out."""
    conclusion: str
    notes: tuple[str, ...]
    """Notes on the two files."""

    def as_json(self) -> dict[str, Any]:
        """Return the content of `--json`, which names the explanations `verdicts`."""
        return {_JSON_KEYS.get(key, key): value for key, value in asdict(self).items()}


def compare(
    full: Boxes,
    sparse: Boxes,
    recipes: Sequence[Recipe],
    *,
    seed: int = 1,
    absent: AbsentImages = "auto",
    validation: Collection[str] = (),
) -> Comparison:
    """Compare a sparse file with its full file, and test which recipes explain what is missing.

    Args:
        full: All boxes.
        sparse: The boxes that are left, on the same images or fewer.
        recipes: Candidates for the recipe of the sparse file.
        seed: Seed of the replicates.
        absent: How to interpret images that the sparse file lacks.
        validation: File names of images known to be held out for validation.

    Raises:
        AnnotationError: when the two files don't belong together.
    """
    pairing = pair(full, sparse)
    notes, changed = _notes(pairing) + _marks(full, sparse), pairing.changed
    owned = np.bincount(full.image, minlength=len(full.images)) > 0
    ways, note = _interpretations(
        owned & ~pairing.present,
        _named(full, validation),
        keeps_empty=pairing.keeps_empty_images,
        absent=absent,
    )
    notes += [note] if note else []
    every, included = candidates(full, seed), ~ways[0].left_out
    boxes, removed = on_images(every, included), ~pairing.kept[included[full.image]]
    if not len(boxes):
        raise AnnotationError("the full file has no boxes on the images that both files contain")
    tables = make_tables(boxes, full.classes)
    if changed.any():
        notes.append(
            f"The tables count {counted(int(changed.sum()), 'image')} with such boxes; recipes are "
            "tested without them."
        )
    by_way: dict[str, Sequence[Explanation]] = {}
    for way in ways:
        # On images that people changed, removals can't be distinguished from their changes.
        tested = ~way.left_out & ~changed
        inside = tested[full.image]
        by_way[way.absent] = _explanations(
            recipes,
            Observation(
                on_images(every, tested),
                full.classes,
                ~pairing.kept[inside],
                is_whole=way.is_whole and not changed.any(),
            ),
            [table.select(inside[included[full.image]]) for table in tables],
        )
    explanations = _sorted(_merged(by_way))
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
        explanations=explanations,
        conclusion=_conclusion(explanations),
        notes=tuple(notes),
    )


def _named(full: Boxes, names: Collection[str]) -> BoolArray:
    """Return which images of the full file have these names; shape (I,)."""
    found = np.zeros(len(full.images), dtype=np.bool_)
    # Sorted: which of two names matches an image must not depend on the collection's order.
    same = same_images(sorted(names), [image.file_name for image in full.images])
    found[[row for row in same if row is not None]] = True
    return found


def _explanations(
    recipes: Sequence[Recipe], seen: Observation, tables: Sequence[Table]
) -> list[Explanation]:
    sample = make_sample(seen.boxes, seen.removed, tables, is_whole=seen.is_whole)
    whole = sample
    if len(sample.boxes) < len(seen.boxes):
        whole = make_sample(
            seen.boxes, seen.removed, tables, size=len(seen.boxes), is_whole=seen.is_whole
        )
    return [explain(recipe, seen, sample, whole) for recipe in recipes]


def _notes(pairing: Pairing) -> list[str]:
    moved, renamed = (counted(n, "box has", "boxes have") for n in (pairing.moved, pairing.renamed))
    of_sparse = "of the sparse file is", "of the sparse file are"
    added = counted(pairing.added, f"box {of_sparse[0]}", f"boxes {of_sparse[1]}")
    foreign = counted(pairing.foreign_images, f"image {of_sparse[0]}", f"images {of_sparse[1]}")
    found = [
        (pairing.moved, f"{moved} another position in the sparse file; counted as kept"),
        (pairing.renamed, f"{renamed} another class in the sparse file; counted as kept"),
        (pairing.added, f"{added} not in the full file"),
        (pairing.foreign_images, f"{foreign} not in the full file"),
    ]
    return [f"{what}." for count, what in found if count]


def _marks(full: Boxes, sparse: Boxes) -> list[str]:
    """Return a note on the files' marks of complete classes, if one of them has any."""
    marks = {
        name: ClassMarks.of(boxes.images, len(boxes.classes))
        for name, boxes in (("full", full), ("sparse", sparse))
    }
    if not any(found.in_part for found in marks.values()):
        return []
    return [f"Marks in the {name} file: {found.in_words()}." for name, found in marks.items()]


@dataclass(frozen=True, slots=True, eq=False)
class _Interpretation:
    """One interpretation of absent images, among I images."""

    absent: Literal["removed", "left-out"]
    left_out: BoolArray
    """Shape (I,): images that are not counted."""
    is_whole: bool
    """Whether the others are exactly the images that a recipe was applied to, so that its
    invariants per class and dataset hold on them."""


def _interpretations(
    lacking: BoolArray, held_out: BoolArray, *, keeps_empty: bool, absent: AbsentImages
) -> tuple[list[_Interpretation], str | None]:
    """Return the interpretations, the one for the tables first, and a note.

    Args:
        lacking: Which images with boxes the sparse file lacks; shape (I,).
        held_out: Which images are known to be held out for validation; shape (I,).
        keeps_empty: Whether the sparse file has images without boxes.
        absent: The user's choice.
    """
    count, validation = int(lacking.sum()), lacking & held_out
    rest = int((lacking & ~held_out).sum())
    none = np.zeros_like(lacking)
    if not count:
        return [_Interpretation("removed", none, is_whole=True)], None
    images = counted(count, "image with boxes is", "images with boxes are")
    lacks = f"{images} not in the sparse file"
    if absent == "removed":
        removed = _Interpretation("removed", none, is_whole=True)
        return [removed], f"{lacks}. Their boxes count as removed."
    left_out = _Interpretation("left-out", lacking, is_whole=not rest)
    if absent == "left-out":
        return [left_out], f"{lacks}; they are left out."
    if rest < count:
        lacks += f", of which {count - rest} are validation images" if rest else ""
    if not rest:
        return [left_out], f"{lacks}: they are validation images, and left out."
    if keeps_empty:
        return [left_out], f"{lacks}, which holds other images without boxes; they are left out."
    return [_Interpretation("removed", validation, is_whole=True), left_out], (
        f"{lacks}, which holds no image without boxes: {'the others' if rest < count else 'they'} "
        "may have lost all boxes, or be left out for another reason. The tables count their boxes "
        "as removed; recipes are tested both ways (--absent-images removed or left-out says which)."
    )


def _sorted(explanations: Iterable[Explanation]) -> tuple[Explanation, ...]:
    """Return recipes that fit first, then undecided ones, then those ruled out."""
    return tuple(sorted(explanations, key=lambda one: (*_order(one), one.recipe)))


def _merged(by_way: Mapping[str, Sequence[Explanation]]) -> list[Explanation]:
    """Merge the explanations under several interpretations: what fits under one of them fits.

    Args:
        by_way: Interpretation (`removed`, `left-out`) -> an explanation for every recipe.
    """
    merged = []
    for of_one in zip(*by_way.values(), strict=True):
        best = min(of_one, key=_order)
        if len({one.judgement for one in of_one}) == 1:
            # The first one's parameters belong to the tables.
            best = best if best.judgement == "ruled out" else of_one[0]
        else:
            absent = next(way for way, one in zip(by_way, of_one, strict=True) if one is best)
            condition = f"only with absent images {_INTERPRETED[absent]}"
            best = replace(
                best,
                absent="removed" if absent == "removed" else "left-out",
                reason="; ".join(part for part in (condition, best.reason) if part),
            )
        merged.append(best)
    return merged


def _conclusion(explanations: Sequence[Explanation]) -> str:
    """Summarise the explanations in a sentence."""
    fitting = [one.recipe for one in explanations if one.judgement == "fits"]
    unknown = [one.recipe for one in explanations if one.judgement == "can't tell"]
    if len(fitting) > 1:
        return f"The data can't tell these apart: {', '.join(fitting)}."
    if unknown and not fitting:
        return f"The data neither confirms nor rules out: {', '.join(unknown)}."
    if not fitting:
        return "None of these recipes explains what was removed."
    others = f" (undecided: {', '.join(unknown)})" if unknown else ""
    return (
        f"Of these recipes only {fitting[0]} fits{others}. That does not prove that it made the "
        "file: an unlisted rule may fit as well."
    )


def _order(explanation: Explanation) -> tuple[int, float]:
    return _ORDER[explanation.judgement], -(explanation.p or 0.0)
