"""`sparsedet pull`."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparsedet.errors import SparseDetError
from sparsedet.loop.workspace import Workspace

from .options import DEFAULT_TOOL, Json, Url, tool_option
from .output import emit_json, progress_bar, table

if TYPE_CHECKING:
    from sparsedet.annotations import Dataset
    from sparsedet.loop.settings import Settings
    from sparsedet.tool import AnnotationTool


def pull(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Workspace folder for annotations and images.")
    ],
    project: Annotated[
        str | None,
        typer.Option(
            "--project",
            help="The project's number in the annotation tool; with --tool files, its folder. "
            "Default: the workspace's.",
        ),
    ] = None,
    url: Url = None,
    tool: Annotated[
        str | None,
        tool_option(
            "The annotation tool's integration: label-studio or files. "
            f"Default: the workspace's, else {DEFAULT_TOOL}."
        ),
    ] = None,
    feedback: Annotated[
        bool,
        typer.Option(
            help="Add the reviews of the boxes that were pushed from this workspace: "
            "accepted and edited ones as annotations, rejected ones as verified negatives."
        ),
    ] = True,
    json_output: Json = False,
) -> None:
    """Copy a project's annotations and images into a workspace.

    The API key comes from LABEL_STUDIO_API_KEY, or is asked for. Images that are there already are
    not downloaded again: repeat an interrupted pull to resume it, or any to refresh the
    annotations.
    """
    from sparsedet.annotations import write_coco
    from sparsedet.loop.settings import Settings, Source
    from sparsedet.plugins import load_integration

    workspace = Workspace(output)
    with workspace.lock():
        known = workspace.settings() if workspace.settings_file.exists() else None
        project = project or (known.source.project if known else None)
        if project is None:
            raise SparseDetError(
                f"which project? Give --project ({output} has not been pulled before)"
            )
        tool = tool or (known.source.tool if known else DEFAULT_TOOL)
        connection = load_integration(tool)(
            url or (known.source.url if known else None),
            complete_control=known.review.complete_control if known else None,
        )
        source = Source(tool=tool, url=connection.url, project=project)
        _check_same_source(workspace, known, source)
        with progress_bar() as progress:
            dataset = connection.pull(project, workspace.images, progress)
        if feedback and workspace.ledger.exists():
            dataset = _with_reviews(
                dataset, workspace, known or Settings(source=source), connection
            )
        write_coco(dataset, workspace.annotations)
        if known is None:
            workspace.write_settings(Settings(source=source))
    counts = dataset.counts()
    if json_output:
        emit_json(
            {
                "images": len(dataset.images),
                "exhaustive": sum(image.exhaustive for image in dataset.images),
                "boxes": len(dataset.boxes),
                "background": len(dataset.verified_negatives),
                "per_class": counts,
                "workspace": str(output),
            }
        )
        return
    title = f"{len(dataset.boxes)} boxes on {len(dataset.images)} images in {output}"
    table(title, ("class", "boxes"), list(counts.items()))


def _with_reviews(
    dataset: "Dataset", workspace: Workspace, settings: "Settings", connection: "AnnotationTool"
) -> "Dataset":
    from sparsedet.ledger import Ledger
    from sparsedet.loop.feedback import with_feedback
    from sparsedet.loop.reviews import Connections, collect_reviews

    with closing(Ledger(workspace.ledger)) as ledger:
        reviews = collect_reviews(ledger, Connections(settings, connection))
        return with_feedback(dataset, ledger.boxes(), reviews)


def _check_same_source(workspace: Workspace, known: "Settings | None", source: object) -> None:
    """Refuse to mix two projects in one folder, where their task numbers would collide."""
    if known is not None and known.source != source:
        raise SparseDetError(
            f"{workspace.root} holds project {known.source.project} of {known.source.url}; give "
            "another project, or another server's, a folder of its own"
        )
