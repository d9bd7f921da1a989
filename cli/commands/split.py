"""`sparsedet split`: make a sparse or train/val split of a fully annotated dataset."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparsedet.errors import SparseDetError
from sparsedet.splits import recipe_files

from ..class_marks import CompleteClasses, ImageLabels, LabelNames, MarkOptions
from ..display import progress_bar
from ..options import (
    DEFAULT_TOOL,
    Json,
    Strict,
    complete_recipes,
    complete_released,
    data_root_option,
    split_option,
    tool_option,
    url_option,
)
from ..output import emit_json, say
from .recipes import choose_recipe
from .split_table import show_split

if TYPE_CHECKING:
    from sparsedet.annotations import Dataset
    from sparsedet.sparsify import Validation

DEFAULT_VAL = 0.2
"""Share of the images held out if neither a recipe nor a share is given."""

_SOURCE = "Data to split (a file or folder, or a project)"
_BOXES = "Boxes to remove"
_PUBLISHED = "A published split, instead of a recipe"
_VALIDATION = "Images to hold out for validation"


def split(
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="FULL.json|FOLDER",
            help="A COCO file with all annotations, a folder written by `sparsedet pull`, or a "
            "Pascal VOC or YOLO folder.",
            show_default=False,
            rich_help_panel=_SOURCE,
        ),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(
            "--project",
            help="Split this project of the annotation tool, after pulling it into OUTPUT/pulled. "
            "For a large project, use `sparsedet pull` instead, which can be resumed.",
            rich_help_panel=_SOURCE,
        ),
    ] = None,
    tool: Annotated[
        str,
        tool_option("The annotation tool's integration for --project.", _SOURCE),
    ] = DEFAULT_TOOL,
    url: Annotated[str | None, url_option(_SOURCE)] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            help="Image folder; every image is checked against its annotations. With --project: "
            "folder for downloads. Default for a workspace: its own.",
            rich_help_panel=_SOURCE,
        ),
    ] = None,
    split: Annotated[
        str | None, split_option(_SOURCE, "train if the data has splits, else all images")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            help=f"{', '.join(recipe_files())} (see `sparsedet recipes`), or the path of a YAML "
            "file. Without it, images are only split into training and validation.",
            autocompletion=complete_recipes,
            rich_help_panel=_BOXES,
        ),
    ] = None,
    drop: Annotated[
        float | None,
        typer.Option(
            "--drop",
            help="Share of boxes to remove, 0 to 1, for recipes that take one. "
            "Default: the recipe's.",
            rich_help_panel=_BOXES,
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Another parameter of the recipe, as in strength=2; RULE.NAME=VALUE if several "
            "rules have it. Repeatable.",
            show_default=False,
            rich_help_panel=_BOXES,
        ),
    ] = None,
    released: Annotated[
        str | None,
        typer.Option(
            "--released",
            metavar="FILE.json|NAME",
            help="Use a released sparse file as it is: a path, or a published name in --data-root. "
            "Every box must also be in FULL.json.",
            autocompletion=complete_released,
            rich_help_panel=_PUBLISHED,
        ),
    ] = None,
    data_root: Annotated[Path | None, data_root_option(_PUBLISHED)] = None,
    val: Annotated[
        float | None,
        typer.Option(
            "--val",
            help="Share of the images to hold out for validation, with all their boxes. "
            f"Default: none with a recipe, {DEFAULT_VAL} without.",
            rich_help_panel=_VALIDATION,
        ),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            "--group-by",
            metavar="BY",
            help="Keep images of a group on the same side: `folder`, `key:NAME` (same value of a "
            "key of their entries, as in key:video_id) or `regex:PATTERN` (on file names, as in "
            "regex:(patient[0-9]+)_).",
            rich_help_panel=_VALIDATION,
        ),
    ] = None,
    near_duplicates: Annotated[
        bool,
        typer.Option(
            "--near-duplicates/--no-near-duplicates",
            help="Keep near-duplicate images on the same side, if the image folder is known.",
            rich_help_panel=_VALIDATION,
        ),
    ] = True,
    near_duplicate_distance: Annotated[
        int | None,
        typer.Option(
            "--near-duplicate-distance",
            help="Maximum distance of their 144-bit perceptual hashes in bits, 0 to 17. "
            "Default: 16.",
            show_default=False,
            rich_help_panel=_VALIDATION,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder to create; never overwritten.", show_default=False
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", help="Random seed; the same one gives the same split.")
    ] = 1,
    complete_classes: CompleteClasses = None,
    image_labels: ImageLabels = None,
    label_names: LabelNames = None,
    strict: Strict = False,
    json_output: Json = False,
) -> None:
    """Make a sparse split, or split into training and validation.

    Writes train.json, removed.json (with --recipe or --released), val.json (with --val, or if
    nothing is removed) and split.json, which records how they were made, to the folder OUTPUT.
    """
    if output is None:
        raise SparseDetError("missing output folder: pass -o FOLDER")
    from sparsedet.atomic_io import atomic_folder, without_collector
    from sparsedet.loop.data_sources import released_file
    from sparsedet.loop.nested_output import kept_apart
    from sparsedet.sparsify import make_split
    from sparsedet.sparsify.near_duplicates import DISTANCE, check_distance
    from sparsedet.sparsify.released import read_released, write_released
    from sparsedet.sparsify.split import describe_split, write_split

    if released is not None:
        _refuse_with_released(
            {
                "--recipe": recipe,
                "--drop": drop,
                "--set": set_ or None,
                "--val": val,
                "--group-by": group_by,
                "--near-duplicate-distance": near_duplicate_distance,
            }
        )
    marks = MarkOptions.of(complete_classes, image_labels, label_names)
    file = None if released is None else released_file(released, data_root)
    chosen = choose_recipe(recipe, drop, set_ or ())
    validation = _validation(val, group_by, needed=chosen is None and file is None)
    distance = DISTANCE if near_duplicate_distance is None else near_duplicate_distance
    check_distance(distance)
    # Of a file, nothing but images is read next to it, and a split has none.
    is_folder = project is None and data is not None and data.is_dir()
    apart = kept_apart(output, data, images) if data is not None and is_folder else nullcontext()
    with without_collector(), apart, atomic_folder(output) as folder:
        dataset, source, cache = _read_source(
            data, project, url, tool, images, folder / "pulled", split, strict=strict
        )
        dataset = marks.apply(dataset)
        if file is not None:
            record = write_released(read_released(file, dataset), folder, source=source)
        else:
            if validation and near_duplicates and cache:
                validation = _with_near_duplicates(validation, dataset, cache, distance)
            made = make_split(dataset, chosen, validation, seed)
            record = describe_split(
                made, dataset, source=source, recipe=chosen, val=validation, seed=seed
            )
            write_split(made, record, folder)
    if json_output:
        emit_json({"output": str(output), **record})
    else:
        show_split(output, record)
        if record["validation"] and not record["validation"]["near_duplicates"]:
            why = "no image folder (--images)" if near_duplicates else "--no-near-duplicates"
            say(f"Near duplicates were not checked: {why}.")


def _read_source(
    data: Path | None,
    project: str | None,
    url: str | None,
    tool: str,
    images: Path | None,
    pulled: Path,
    split: str | None,
    *,
    strict: bool,
) -> "tuple[Dataset, str | dict[str, str], Path | None]":
    """Return the full dataset, what `split.json` says about its origin, and its image folder."""
    from sparsedet.annotations import check_images
    from sparsedet.loop.data_sources import Reading, read_anything

    if data is not None and project is None:
        # Images are checked for a folder, and for a file if --images is given.
        needed = images is not None or data.is_dir()
        reading = Reading(split, ("train",), strict, needed)
        with progress_bar() as progress:
            found = read_anything(data, images, reading, progress=progress)
        if found.note:
            say(found.note)
        folder = found.images if needed else None
        if folder is not None:
            check_images(found.dataset, folder)
        return found.dataset, str(found.source), folder
    if project is not None and data is None:
        return _pull(project, url, tool, images, pulled)
    raise SparseDetError("pass either an annotation file (or a workspace folder) or --project")


def _pull(
    project: str, url: str | None, tool: str, images: Path | None, folder: Path
) -> "tuple[Dataset, dict[str, str], Path]":
    """Pull a project into the workspace `folder`, or its images into `images` if given."""
    from sparsedet.annotations import write_coco
    from sparsedet.loop.settings import Source, new_settings
    from sparsedet.loop.workspace import Workspace
    from sparsedet.plugins import load_integration
    from sparsedet.tool import ToolOptions

    workspace = Workspace(folder)
    connection = load_integration(tool)(url, ToolOptions(named_url=bool(url)))
    with progress_bar() as progress:
        cache = images or workspace.images
        dataset = connection.pull(project, cache, progress)
    source = Source(tool=tool, url=connection.url, project=project)
    write_coco(dataset, workspace.annotations)
    workspace.write_settings(new_settings(source))
    named = source.model_dump(include={"tool", "url", "project"})
    return dataset, named, cache


def _refuse_with_released(given: Mapping[str, object]) -> None:
    """Refuse options (name -> value or None) that would change a released file."""
    if unfit := [name for name, value in given.items() if value is not None]:
        raise SparseDetError(f"--released uses the file as it is; drop {' and '.join(unfit)}")


def _validation(share: float | None, group_by: str | None, *, needed: bool) -> "Validation | None":
    from sparsedet.sparsify import GroupBy, Validation

    groups = GroupBy.parse(group_by) if group_by else None
    if share is None and needed:
        share = DEFAULT_VAL
    if share is None:
        if groups:
            raise SparseDetError(
                f"--group-by needs a validation share, as in: --val {DEFAULT_VAL} "
                f"--group-by {groups}"
            )
        return None
    return Validation(share, groups)


def _with_near_duplicates(
    validation: "Validation", dataset: "Dataset", images: Path, distance: int
) -> "Validation":
    from sparsedet.sparsify import find_near_duplicates

    with progress_bar() as progress:
        found = find_near_duplicates(dataset, images, distance=distance, progress=progress)
    return replace(validation, near_duplicates=found)
