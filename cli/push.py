"""`sparsedet push`."""

import hashlib
from collections.abc import Iterable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparsedet.errors import SparseDetError
from sparsedet.loop.workspace import Workspace, enclosing

from .options import DEFAULT_TOOL, Json, Url, complete_modes, push_mode, tool_option
from .output import command, emit_json, progress_bar, say

if TYPE_CHECKING:
    from sparsedet.loop.settings import Settings, Source


def push(
    mined: Annotated[
        Path, typer.Argument(metavar="MINED", help="mined.json, as `sparsedet mine` writes it.")
    ],
    data: Annotated[
        Path,
        typer.Option(
            "--data", help="What it was mined on: a pulled workspace, or a COCO file split from it."
        ),
    ],
    project: Annotated[
        str | None,
        typer.Option("--project", help="The annotated project's number. Default: the workspace's."),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(
            "--ledger",
            help="Record of every box ever pushed. Default: the workspace's; without workspace "
            "`ledger.sqlite` next to MINED.",
        ),
    ] = None,
    model_version: Annotated[
        str | None,
        typer.Option(
            "--model-version",
            help="Name under which the boxes appear. Default: the id of the run that mined them.",
        ),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            "--mode",
            help="review-project or draft; see `sparsedet init`. Default: the workspace's.",
            autocompletion=complete_modes,
        ),
    ] = None,
    url: Url = None,
    tool: Annotated[
        str | None,
        tool_option("The annotation tool's integration. Default: the workspace's."),
    ] = None,
    json_output: Json = False,
) -> None:
    """Push mined boxes for review, together with the human ones.

    They go into a review project next to the annotated one; with --mode draft onto the annotations,
    as drafts that only you see. They never go into the annotations themselves. Pushing the same
    boxes again changes nothing; repeat an interrupted push to complete it.
    """
    from sparsedet.annotations import read_coco
    from sparsedet.annotations.mined_boxes import read_mined
    from sparsedet.ledger import Ledger, Push
    from sparsedet.plugins import load_integration

    workspace = enclosing(data)
    settings = workspace.settings() if workspace else None
    annotations = _annotations(data)
    source = _source(settings, tool, url, project)
    how = push_mode(mode or (settings.review.mode if settings else "review-project"))
    dataset = read_coco(annotations)
    boxes = read_mined(mined, dataset)
    version = model_version or _default_version(mined, (box.region_id for box in boxes))
    connection = load_integration(source.tool)(
        source.url or None, complete_control=settings.review.complete_control if settings else None
    )
    # Before anything is pushed: a ledger that can't be opened would lose track of the boxes.
    file = ledger or (workspace.ledger if workspace else mined.parent / "ledger.sqlite")
    with workspace.lock() if workspace else nullcontext(), closing(Ledger(file)) as record:
        with progress_bar() as progress:
            report = connection.push(
                source.project, dataset, boxes, model_version=version, mode=how, progress=progress
            )
        # After the push, which finds what it made before: when only this step is cut off, the next
        # push makes nothing and records everything.
        new = record.record_push(
            Push(
                tool=source.tool,
                url=connection.url,
                project=source.project,
                review_project=report.review_project,
                model_version=version,
                mode=how,
            ),
            boxes,
            dataset,
            frozenset(report.skipped),
        )
    if json_output:
        emit_json(
            {
                "review_project": report.review_project,
                "url": report.url,
                "model_version": version,
                "mode": how,
                "images": report.images,
                "boxes": report.boxes,
                "created": report.created,
                "skipped": dict(report.skipped),
                "new_in_ledger": new,
                "ledger": str(file),
            }
        )
        return
    typer.echo(
        f"{report.boxes} mined boxes on {report.images} images are up for review at {report.url} "
        f"(model version {version}; {report.created} images new or changed)"
    )
    for line in report.skipped_lines():
        say(line)
    settled_by = (
        command("review", data)
        if data.is_dir() and not ledger
        else command("review", Path(), f"--ledger {file}")
    )
    say(f"next: review them there, then: {settled_by}")


def _annotations(data: Path) -> Path:
    """Return the COCO file that a push needs: only it holds the ids of the annotation tool."""
    file = Workspace(data).annotations if data.is_dir() else data
    if data.is_dir() and not file.is_file():
        raise SparseDetError(
            f"{data}: no annotations.json in this folder; boxes are pushed by ids that come with a "
            "pull: make a workspace (`sparsedet init`, `sparsedet pull`), mine and push that"
        )
    return file


def _source(
    settings: "Settings | None", tool: str | None, url: str | None, project: str | None
) -> "Source":
    """Return where to push: the options, and the workspace's source where they are silent."""
    from sparsedet.loop.settings import Source

    known = settings.source if settings else None
    if known is None and project is None:
        raise SparseDetError(
            "which project? Give --project (the data does not lie in a pulled workspace)"
        )
    return Source(
        tool=tool or (known.tool if known else DEFAULT_TOOL),
        url=url or (known.url if known else ""),
        project=project or (known.project if known else ""),
    )


def _default_version(mined: Path, region_ids: Iterable[str]) -> str:
    """Return the id of the run that mined the boxes, or a name made from the boxes themselves."""
    from sparsedet.annotations.mined_boxes import meta_path
    from sparsedet.atomic_io import read_json

    meta = read_json(meta_path(mined)) if meta_path(mined).exists() else {}
    if isinstance(meta, dict) and meta.get("run_id"):
        return str(meta["run_id"])
    return "mined-" + hashlib.sha256("|".join(sorted(region_ids)).encode()).hexdigest()[:12]
