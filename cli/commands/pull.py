"""`sparsedet pull`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparsedet.errors import SparseDetError
from sparsedet.loop.workspace import Workspace, owner_id
from sparsedet.wording import counted

from ..display import progress_bar
from ..options import (
    DEFAULT_TOOL,
    Annotator,
    Control,
    Json,
    Only,
    ShapesOption,
    SkipSkipped,
    Url,
    View,
    check_workspace_folder,
    given_choice,
    tool_option,
)
from ..output import emit_json, say, table

if TYPE_CHECKING:
    from sparsedet.loop.settings import Settings, Source


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
    refresh: Annotated[
        bool,
        typer.Option(
            "--refresh",
            help="Check every image for changes since it was pulled, and download changed ones.",
        ),
    ] = False,
    feedback: Annotated[
        bool,
        typer.Option(
            help="Include reviews of boxes pushed from this workspace: accepted and edited boxes "
            "as annotations, rejected ones as verified negatives."
        ),
    ] = True,
    view: View = None,
    only: Only = None,
    annotator: Annotator = None,
    skip_skipped: SkipSkipped = None,
    control: Control = None,
    shapes: ShapesOption = None,
    json_output: Json = False,
) -> None:
    """Copy a project's annotations and images into a workspace.

    The API key is read from LABEL_STUDIO_API_KEY or prompted for. Images that already exist are not
    downloaded again: repeat an interrupted pull to resume it, or any pull to refresh the
    annotations. Tasks whose image is unavailable are left out and counted; [source] and [images] in
    sparsedet.toml set how many may be left out, the maximum image size, and the allowed hosts.
    """

    from sparsedet.annotations import write_coco
    from sparsedet.loop.new_classes import note_new_classes
    from sparsedet.loop.pulling import pull_with_reviews
    from sparsedet.loop.reviews import Connections, note_address
    from sparsedet.loop.settings import Source, change_source, new_settings
    from sparsedet.plugins import check_project, load_integration

    workspace = Workspace(output)
    choice = given_choice(view, only, annotator, skip_skipped, control, shapes)
    with workspace.lock():
        known = workspace.settings() if workspace.settings_file.exists() else None
        project = project or (known.source.project if known else None)
        if project is None:
            raise SparseDetError(
                f"missing project: pass --project ({output} has not been pulled before)"
            )
        tool = tool or (known.source.tool if known else DEFAULT_TOOL)
        address = url or (known.source.url if known else None)
        check_project(tool, project)
        check_workspace_folder(tool, address or "", project, output)
        before = known.source if known else Source(tool=tool, url=address or "", project=project)
        named = {"tool": tool, "project": project}
        source = before.model_copy(update={**named, **choice})
        settings = known or new_settings(source)
        settings = settings.model_copy(update={"source": source})
        options = settings.tool_options(owner_id(workspace.root) if known else None)
        fetched = replace(options.images, refresh=refresh)
        options = replace(options, images=fetched, named_url=bool(url))
        connection = load_integration(tool)(address, options)
        source = source.model_copy(update={"url": connection.url})
        _check_same_source(workspace, known, source)
        with progress_bar() as progress:
            if feedback and known and _was_pushed(workspace, known):
                note_address(workspace, known, connection)
                _, found = pull_with_reviews(
                    workspace,
                    connection,
                    source,
                    Connections(settings, connection, owner=options.owner),
                    say=say,
                    progress=progress,
                )
                dataset = found.dataset
            else:
                try:
                    dataset = connection.pull(project, workspace.images, progress)
                finally:
                    # Images may have been downloaded; record their project and limits.
                    if known is None and workspace.images.exists():
                        workspace.write_settings(new_settings(source))
        if note := note_new_classes(workspace, dataset):
            say(note)
        write_coco(dataset, workspace.annotations)
        if known and choice:
            change_source(workspace.settings_file, choice)
    counts = dataset.counts()
    if json_output:
        emit_json(
            {
                "images": len(dataset.images),
                "exhaustive": sum(image.exhaustive for image in dataset.images),
                "left_out": len(dataset.unread),
                "boxes": len(dataset.boxes),
                "background": len(dataset.verified_negatives),
                "per_class": counts,
                "workspace": str(output),
                **({"choice": str(source.choice)} if source.choice else {}),
            }
        )
        return
    if source.choice:
        say(f"selected: {source.choice} (sparsedet.toml, [source])")
    boxes, pictures = counted(len(dataset.boxes), "box"), counted(len(dataset.images), "image")
    title = f"{boxes} on {pictures} in {output}"
    table(title, ("class", "boxes"), list(counts.items()))


def _was_pushed(workspace: Workspace, settings: "Settings") -> bool:
    """Return whether boxes were pushed, so that there may be reviews; rebuild a lost ledger."""
    from sparsedet.loop.ledger_rebuild import rebuild

    if rebuilt := rebuild(workspace, settings):
        say(rebuilt)
    return workspace.ledger.exists()


def _check_same_source(workspace: Workspace, known: "Settings | None", source: "Source") -> None:
    """Refuse to mix two projects in one folder, since their task ids would collide."""
    if known is not None and not known.source.is_same_project(source):
        raise SparseDetError(
            f"{workspace.root} already contains project {known.source.project} of "
            f"{known.source.url}; use a separate folder for another project or server"
        )
