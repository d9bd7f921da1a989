"""`sparsedet compare`: what a sparse file lacks, and which recipes explain it."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from sparsedet.errors import SparseDetError
from sparsedet.wording import counted, one_of

from ..display import progress_bar
from ..options import Json, Split, Strict, complete_recipes
from ..output import COMPARISON, check_replaceable, emit_json, line, say, table

if TYPE_CHECKING:
    from sparsedet.comparison import Boxes, Comparison, Section

_SHOWN = 20
"""Table rows to print; the page and --json have all."""
_OTHER_SUFFIXES = (".yaml", ".yml")
"""Suffixes of files that stand for a dataset folder in another format than COCO."""


def compare(
    full: Annotated[
        Path,
        typer.Argument(
            metavar="FULL",
            help="All annotations: a COCO file, a folder written by `sparsedet pull`, or a Pascal "
            "VOC or YOLO folder.",
        ),
    ],
    sparse: Annotated[
        Path,
        typer.Argument(
            metavar="SPARSE",
            help="A part of these annotations, on the same images: a file or folder.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="HTML page to write, with all tables and plots; overwrites only an older page.",
        ),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            "--recipe",
            help="Test this recipe: a name, or the path of a YAML file. Repeatable. "
            "Default: all built-in recipes.",
            autocompletion=complete_recipes,
        ),
    ] = None,
    absent_images: Annotated[
        str,
        typer.Option(
            "--absent-images",
            help="How to treat images that SPARSE lacks: removed (all their boxes were removed), "
            "left-out, or auto: left out if val.json next to SPARSE has them, or if SPARSE has "
            "other images without boxes; otherwise recipes are tested both ways.",
        ),
    ] = "auto",
    seed: Annotated[
        int,
        typer.Option("--seed", help="Random seed for simulating recipes."),
    ] = 1,
    split: Split = None,
    strict: Strict = False,
    json_output: Json = False,
) -> None:
    """Show what a sparse file lacks, and which recipes explain it.

    Compares a sparse file with the full one: the removed boxes by class, boxes per image, size,
    position and neighbourhood; and the recipes that explain them or are ruled out, each with a
    p-value. Images are matched by file name, or by its last part if folders differ; classes by
    name. Crowd regions are left out.
    """
    from sparsedet.comparison import AbsentImages, compare
    from sparsedet.sparsify import load_recipe, recipe_names

    absent = next((mode for mode in get_args(AbsentImages) if mode == absent_images), None)
    if absent is None:
        raise SparseDetError(
            f"--absent-images {absent_images}: expected {one_of(get_args(AbsentImages))}"
        )
    if output is not None:
        _check_output(output, (full, sparse))
    recipes = [load_recipe(name) for name in recipe or recipe_names()]
    found = compare(
        _boxes(full, split, strict=strict),
        _boxes(sparse, split, strict=strict),
        recipes,
        seed=seed,
        absent=absent,
        validation=_validation(sparse) if absent == "auto" else (),
    )
    if output is not None:
        from sparsedet.reporting.comparison_page import write_page

        write_page(found, output, title=f"{sparse} against {full}")
    if json_output:
        page = str(output.resolve()) if output else None
        emit_json({"full": str(full), "sparse": str(sparse), "page": page, **found.as_json()})
        return
    _show(found)
    if output is not None:
        say(f"wrote {output}; open it in a browser: {output.resolve().as_uri()}")


def _check_output(output: Path, inputs: Collection[Path]) -> None:
    """Refuse to overwrite anything but an older page.

    Raises:
        SparseDetError: if something else is there.
    """
    if output.is_file() and any(path.exists() and output.samefile(path) for path in inputs):
        raise SparseDetError(f"{output}: is one of the compared files; choose another one with -o")
    check_replaceable(output, COMPARISON)


def _boxes(path: Path, split: str | None, *, strict: bool) -> "Boxes":
    """Read the boxes of a file or folder, and free its entries, which take most of the memory.

    `split` applies to folders only.

    Raises:
        AnnotationError: naming the file and the position of the fault.
    """
    from sparsedet.atomic_io import without_collector
    from sparsedet.comparison import Boxes
    from sparsedet.loop.data_sources import Reading, read_anything

    is_file = path.is_file() and path.suffix.lower() not in _OTHER_SUFFIXES
    reading = Reading(None if is_file else split, strict=strict, files=False)
    # The collector would scan all entries in vain until they are freed.
    with without_collector(), progress_bar() as progress:
        found = read_anything(path, None, reading, progress=progress)
        if found.note:
            say(found.note)
        return Boxes.of(found.dataset)


def _validation(sparse: Path) -> list[str]:
    """Return the file names of validation images that `sparsedet split` wrote next to a file.

    Raises:
        AnnotationError: if a `val.json` there is not a COCO file.
    """
    from sparsedet.annotations import read_coco

    file = sparse.with_name("val.json")
    if sparse.is_dir() or sparse.name == file.name or not file.is_file():
        return []
    return [image.file_name for image in read_coco(file).images]


def _show(found: "Comparison") -> None:
    total = found.total
    line(
        f"{total.removed} of {counted(total.boxes, 'box')} removed ({100 * total.share:.1f} %) on "
        f"{counted(found.images, 'image')}: {found.untouched} lost none, {found.bare} lost all"
    )
    for note in found.notes:
        line(note)
    for section in found.sections:
        line()
        _show_section(section)
    if not found.explanations:
        return
    line()
    reasons: dict[str, list[str]] = {}
    for one in found.explanations:
        reasons.setdefault(one.reason, []).append(one.recipe)
    judgements = {one.judgement for one in found.explanations}
    if len(reasons) == len(judgements) == 1 < len(found.explanations) and all(reasons):
        line(f"{found.explanations[0].judgement} which recipe: {found.explanations[0].reason}")
        return
    rows = [
        [one.recipe, one.judgement, one.p_text, one.parameters_text] for one in found.explanations
    ]
    table("recipes", ["recipe", "verdict", "p", "parameters"], rows)
    for reason, names in reasons.items():
        if reason:
            line(f"  {', '.join(names)}: {reason}")
    line()
    line(found.conclusion)


def _show_section(section: "Section") -> None:
    """Print a table; if there are many classes, those with the most boxes."""
    rows = sorted(section.rows, key=lambda row: -row.boxes)[:_SHOWN]
    shown = [row for row in section.rows if row in rows]
    table(
        f"removed {section.title}",
        ["", "boxes", "removed", "share", "95 % interval"],
        [
            [
                row.label,
                row.boxes,
                row.removed,
                f"{100 * row.share:.1f} %",
                f"{100 * row.low:.1f}-{100 * row.high:.1f} %",
            ]
            for row in shown
        ],
    )
    if len(section.rows) > len(shown):
        line(f"  and {len(section.rows) - len(shown)} more with fewer boxes (-o, --json)")
