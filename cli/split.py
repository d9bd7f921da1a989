"""`sparsedet split`: a sparse split, or training and validation, from a fully annotated dataset."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparsedet.errors import SparseDetError

from .options import Json, Tool, Url
from .output import emit_json, progress_bar, say, table

if TYPE_CHECKING:
    from sparsedet.annotations import Dataset
    from sparsedet.sparsify import Recipe

DEFAULT_VAL = 0.2
"""Share of the images held out when neither a recipe nor a share is asked for."""


def split(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to make; never overwritten.")
    ],
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="FULL.json|WORKSPACE",
            help="A COCO file with all annotations, or a folder that `sparsedet pull` made.",
            show_default=False,
        ),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(
            "--project",
            help="Pull this project of the annotation tool into OUTPUT/pulled first. For a large "
            "one run `sparsedet pull` instead, which goes on after an interruption.",
        ),
    ] = None,
    url: Url = None,
    tool: Tool = "label-studio",
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            help="Image folder; every image is checked against its annotations. "
            "With --project: where downloads go. Default for a workspace: its own.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            help="Which boxes to remove: random, easy, hard, extreme, keep1, or the path of a YAML "
            "file. Without it, images are only divided into training and validation.",
        ),
    ] = None,
    drop: Annotated[
        float | None,
        typer.Option(
            "--drop",
            help="Share of boxes to remove, 0 to 1, for recipes that take one. "
            "Default: the recipe's.",
        ),
    ] = None,
    val: Annotated[
        float | None,
        typer.Option(
            "--val",
            help="Share of the images to hold out for validation, with all their boxes. "
            f"Default: none with a recipe, {DEFAULT_VAL} without.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed makes the same split.")] = 1,
    json_output: Json = False,
) -> None:
    """Make a sparse split, or divide into training and validation.

    Writes train.json, removed.json (with --recipe), val.json (with --val or without --recipe) and
    split.json, which says how they were made, into the folder OUTPUT.
    """
    from sparsedet.files import atomic_folder
    from sparsedet.sparsify import make_split
    from sparsedet.sparsify.folder import describe_split, write_split

    chosen = _recipe(recipe, drop)
    if chosen is None and val is None:
        val = DEFAULT_VAL
    with atomic_folder(output) as folder:
        dataset, source = _source(data, project, url, tool, images, folder / "pulled")
        made = make_split(dataset, chosen, val, seed)
        record = describe_split(made, source=source, recipe=chosen, val=val, seed=seed)
        write_split(made, record, folder)
    if json_output:
        emit_json({"output": str(output), **record})
    else:
        _show(output, record)


def _recipe(name: str | None, drop: float | None) -> "Recipe | None":
    from sparsedet.sparsify import load_recipe

    if name is None:
        if drop is not None:
            raise SparseDetError("--drop needs a recipe, as in: --recipe random --drop 0.5")
        return None
    found = load_recipe(name)
    return found if drop is None else found.with_drop(drop)


def _source(
    data: Path | None,
    project: str | None,
    url: str | None,
    tool: str,
    images: Path | None,
    pulled: Path,
) -> "tuple[Dataset, str | dict[str, str]]":
    """Return the full dataset and what `split.json` says about its origin."""
    from sparsedet.annotations import check_images, read_coco
    from sparsedet.workspace import locate

    if data is not None and project is None:
        file, folder = locate(data, images) if data.is_dir() else (data, images)
        dataset = read_coco(file)
        if folder is not None:
            check_images(dataset, folder)
        return dataset, str(file)
    if project is not None and data is None:
        return _pull(project, url, tool, images, pulled)
    raise SparseDetError("give either an annotation file (or a workspace folder) or --project")


def _pull(
    project: str, url: str | None, tool: str, images: Path | None, folder: Path
) -> "tuple[Dataset, dict[str, str]]":
    """Pull a project into the workspace `folder`, or its images into `images` where given."""
    from sparsedet.annotations import write_coco
    from sparsedet.settings import Settings, Source
    from sparsedet.tool import load_integration
    from sparsedet.workspace import Workspace

    workspace = Workspace(folder)
    connection = load_integration(tool)(url)
    with progress_bar() as progress:
        dataset = connection.pull(project, images or workspace.images, progress)
    source = Source(tool=tool, url=connection.url, project=project)
    write_coco(dataset, workspace.annotations)
    workspace.write_settings(Settings(source=source))
    return dataset, source.model_dump()


def _show(output: Path, record: Mapping[str, Any]) -> None:
    """Print the table for people: boxes per class and part."""
    from sparsedet.sparsify.recipe import describe_rule

    parts = list(record["boxes"])
    rows = [[name, *counts.values()] for name, counts in record["classes"].items()]
    rows.append(["all classes", *record["boxes"].values()])
    rows.append(["images", *(record["images"].get(part, "") for part in parts)])
    if recipe := record["recipe"]:
        rules = ", ".join(describe_rule(**rule) for rule in recipe["rules"])
        title = f"{output}: boxes after recipe {recipe['name']} ({rules}), seed {record['seed']}"
    else:
        title = f"{output}: boxes, seed {record['seed']}"
    table(title, ["class", *parts], rows)
    if recipe and record["val"]:
        say("Validation images keep all their boxes; the recipe applies to training images.")
