"""`sparsedet pull`."""

from pathlib import Path
from typing import Annotated

import typer

from sparsedet.errors import SparseDetError
from sparsedet.workspace import Source, Workspace

from .options import Json, Tool, Url
from .output import emit_json, progress_bar, table


def pull(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Workspace folder for annotations and images.")
    ],
    project: Annotated[
        str | None,
        typer.Option(
            "--project",
            help="The project's number in the annotation tool. Default: the workspace's.",
        ),
    ] = None,
    url: Url = None,
    tool: Tool = "label-studio",
    json_output: Json = False,
) -> None:
    """Copy a project's annotations and images into a workspace folder.

    The API key comes from LABEL_STUDIO_API_KEY, or is asked for. Images that are there already are
    not downloaded again: an interrupted pull goes on, a repeated one refreshes the annotations.
    """
    from sparsedet.annotations import write_coco
    from sparsedet.tool import load_integration

    workspace = Workspace(output)
    known = workspace.source() if workspace.source_file.exists() else None
    project = project or (known.project if known else None)
    if project is None:
        raise SparseDetError(f"which project? Give --project ({output} has not been pulled before)")
    connection = load_integration(tool)(url or (known.url if known else None))
    source = Source(tool=tool, url=connection.url, project=project)
    _check_same_source(workspace, known, source)
    with progress_bar() as progress:
        dataset = connection.pull(project, workspace.images, progress)
    write_coco(dataset, workspace.annotations)
    workspace.write_source(source)
    counts = dataset.counts()
    if json_output:
        emit_json(
            {
                "images": len(dataset.images),
                "exhaustive": sum(image.exhaustive for image in dataset.images),
                "boxes": len(dataset.boxes),
                "per_class": counts,
                "workspace": str(output),
            }
        )
        return
    title = f"{len(dataset.boxes)} boxes on {len(dataset.images)} images in {output}"
    table(title, ("class", "boxes"), list(counts.items()))


def _check_same_source(workspace: Workspace, known: Source | None, source: Source) -> None:
    """Refuse to mix two projects in one folder, where their task numbers would collide."""
    if known is not None and known != source:
        raise SparseDetError(
            f"{workspace.root} holds project {known.project} of {known.url}; give project "
            f"{source.project} of {source.url} a folder of its own"
        )
