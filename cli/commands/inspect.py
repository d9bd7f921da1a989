"""`sparsedet inspect`: describe a dataset and list everything that is wrong with it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparsedet.wording import counted

from ..display import progress_bar
from ..options import Json, Split
from ..output import emit_json, say, table

if TYPE_CHECKING:
    from sparsedet.inspection import Inspection

FOUND_FAULTS = 3
"""Exit status if something is wrong."""
_SHOWN = 5
"""Faults to print per kind; --json lists all."""


def inspect(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="A COCO file, or a folder (workspace, COCO, Pascal VOC or YOLO).",
            show_default=False,
        ),
    ],
    images: Annotated[
        Path | None,
        typer.Option("--images", help="Image folder. Default: the usual one of the format."),
    ] = None,
    split: Split = None,
    fix: Annotated[
        Path | None,
        typer.Option(
            "--fix",
            metavar="OUT",
            help="Write a repaired copy as COCO to this new folder: annotations, images/ and "
            "report.json, which lists all changes and omissions.",
        ),
    ] = None,
    decode: Annotated[
        bool,
        typer.Option(
            "--decode/--no-decode",
            help="Decode every image, to find truncated ones; --no-decode reads headers only.",
        ),
    ] = True,
    json_output: Json = False,
) -> None:
    """Describe a dataset, and list all of its faults.

    Shows its format and folders; counts images, boxes and classes, also per split; and lists all
    faults at once. Exits with status 3 if there are any, except with --fix, which repairs them.
    """
    from sparsedet.inspection import inspect_data, write_copy
    from sparsedet.loop.nested_output import kept_apart

    written = None
    with progress_bar() as progress:
        found = inspect_data(data, images=images, split=split, decode=decode, progress=progress)
        if fix is not None:
            with kept_apart(fix, data, images):
                written = write_copy(found, fix, progress=progress)
    if json_output:
        copy = None if fix is None else {"output": str(fix), "boxes": written}
        emit_json({**found.as_json(), "fix": copy})
    else:
        _show(found)
        if written is not None:
            files = ", ".join(
                f"{name} ({counted(boxes, 'box')})" for name, boxes in written.items()
            )
            say(f"wrote a repaired copy to {fix}: {files}; report.json lists the changes")
    if found.faults.found and written is None:
        raise typer.Exit(FOUND_FAULTS)


def _show(found: "Inspection") -> None:
    from sparsedet.annotations.faults import places
    from sparsedet.inspection import figures

    folder = found.whole.images
    typer.echo(f"{found.source}: {found.title}, images in {folder or '- (not found)'}")
    whole = figures(found.whole.dataset)
    parts = {name: figures(part.dataset) for name, part in found.splits.items()}
    columns = {"all" if parts else "boxes": whole, **parts}
    rows: list[list[object]] = [
        [name, *(part.per_class.get(name, 0) for part in columns.values())]
        for name in whole.per_class
    ]
    rows.append(["all classes", *(part.boxes for part in columns.values())])
    rows.append(["images", *(part.images for part in columns.values())])
    without = [part.images_without_boxes for part in columns.values()]
    rows.append(["images without boxes", *without])
    if whole.crowds:
        rows.append(["crowd regions", *(part.crowds for part in columns.values())])
    table("boxes by class", ["class", *columns], rows)
    if whole.images:
        (narrow, width, wide), (low, height, high) = whole.image_widths, whole.image_heights
        typer.echo(
            f"images: {narrow} to {wide} wide (median {width}), {low} to {high} high "
            f"(median {height}) pixels"
        )
    if whole.boxes:
        least, middle, largest = whole.box_sides
        typer.echo(
            f"boxes: {least} to {largest} pixels (square root of the area, median {middle}); "
            f"{whole.small} below 32, {whole.large} above 96"
        )
    kinds = found.faults.by_kind()
    if not kinds:
        typer.echo("nothing is wrong")
        return
    typer.echo(f"faults: {len(found.faults.found)} of {counted(len(kinds), 'kind')}")
    for kind, faults in kinds.items():
        typer.echo(f"  {kind.what}: {len(faults)}, {kind.remedy}")
        typer.echo(f"      {places(faults, _SHOWN)}")
        if kind.loses:
            # The kind alone does not say what to repair.
            typer.echo(f"      first: {faults[0].detail}")
