"""`sparsedet init`."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from sparsedet.errors import ControlNeededError, SparseDetError
from sparsedet.loop.workspace import Workspace
from sparsedet.wording import counted

from ..options import (
    DEFAULT_TOOL,
    Annotator,
    Control,
    Json,
    Mode,
    Only,
    ShapesOption,
    SkipSkipped,
    Url,
    View,
    check_workspace_folder,
    given_choice,
    review_mode,
    tool_option,
)
from ..output import command, echo, emit_json, say

_USUAL_SERVER = "http://localhost:8080"
_DEFAULT_CONTROL = "sparsedet_complete"


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="WORKSPACE", help="Workspace folder; may exist.")
    ] = Path(),
    tool: Annotated[
        str | None,
        tool_option("The annotation tool's integration: label-studio or files."),
    ] = None,
    url: Url = None,
    project: Annotated[
        str | None,
        typer.Option(
            "--project",
            help="The project's number in the annotation tool; with --tool files, its folder.",
        ),
    ] = None,
    complete_control: Annotated[
        str | None,
        typer.Option(
            "--complete-control",
            help="Name of the Choices control that marks an image as complete. "
            f"Default: {_DEFAULT_CONTROL}.",
        ),
    ] = None,
    mode: Mode = "auto",
    view: View = None,
    only: Only = None,
    annotator: Annotator = None,
    skip_skipped: SkipSkipped = None,
    control: Control = None,
    shapes: ShapesOption = None,
    json_output: Json = False,
) -> None:
    """Connect a folder to a project of your annotation tool.

    Tests the connection and writes sparsedet.toml; the folder is then a workspace. On a terminal,
    prompts for missing options; with --project, only for the server address, if neither --url nor
    LABEL_STUDIO_URL is set. The API key is read from LABEL_STUDIO_API_KEY or prompted for; it is
    never stored.
    """
    from sparsedet.loop.settings import ReviewSettings, Source, new_settings
    from sparsedet.plugins import check_project, load_integration

    workspace = Workspace(folder)
    how = review_mode(mode)
    choice = given_choice(view, only, annotator, skip_skipped, control, shapes)
    if workspace.settings_file.exists():
        raise SparseDetError(
            f"{workspace.settings_file}: already exists; edit it, or choose another folder"
        )
    can_ask = sys.stdin.isatty() and not json_output
    if project is None and not can_ask:
        raise SparseDetError("missing project: pass --project")
    # With the one option that has no default given, the others take theirs.
    asks = can_ask and project is None
    tool = tool or (_ask("Annotation tool", DEFAULT_TOOL) if asks else DEFAULT_TOOL)
    integration = load_integration(tool)
    server = tool == DEFAULT_TOOL
    if url is None and server and can_ask and not os.environ.get("LABEL_STUDIO_URL"):
        url = _ask("Server address", _USUAL_SERVER)
    elif url is None and not server and asks:
        url = _ask("Folder", ".")
    project = project or _ask(
        "Project: the number in its URL, .../projects/NUMBER" if server else "Project's folder",
        None,
    )
    check_project(tool, project)
    check_workspace_folder(tool, url or "", project, folder)
    if complete_control is None and asks:
        complete_control = _ask(
            "Choices control that marks an image as completely labelled", _DEFAULT_CONTROL
        )
    mark = complete_control or _DEFAULT_CONTROL
    has_queue = how in ("auto", "review-project")
    review = ReviewSettings(mode=how, complete_control=mark, sure_first=has_queue)
    source = Source(tool=tool, url=url or "", project=project, **choice)
    settings = new_settings(source, review)
    options = replace(settings.tool_options(), named_url=bool(url))
    connection = integration(url, options)
    if not connection.push_modes.keys() >= set(review.modes):
        raise SparseDetError(
            f"--mode {how}: not supported by {tool}; use {next(iter(connection.push_modes))}"
        )
    source = source.model_copy(update={"url": connection.url})
    try:
        summary = connection.summary(project)
    except ControlNeededError as error:
        if not can_ask:
            raise
        asked = _ask(f"Control for boxes ({', '.join(error.names)})", error.names[0])
        source = source.model_copy(update={"control": asked})
        settings = settings.model_copy(update={"source": source})
        connection = integration(url, replace(options, control=asked))
        summary = connection.summary(project)
    settings = settings.model_copy(update={"source": source})
    with workspace.lock():
        workspace.write_settings(settings)
    if json_output:
        emit_json({"settings": str(workspace.settings_file), "title": summary.title})
        return
    echo(
        f"{workspace.settings_file}: project {project} ({summary.title}), "
        f"{counted(summary.images, 'image')}, labels {', '.join(summary.labels)}"
    )
    if source.choice:
        say(f"selected: {source.choice}")
    if not summary.has_complete_control:
        missing = f"note: the project has no Choices control named {mark}"
        if how == "draft":
            say(f"{missing}; without one, images can't be marked as completely labelled")
        else:
            say(
                f"{missing}; reviewers have one in the review project, but people who label in the "
                "project itself don't"
            )
    say(
        "each round holds out some images and measures AP on them once 20 have boxes (validation "
        "in sparsedet.toml)"
    )
    say(f"next: {command('round', folder)}")


def _ask(question: str, default: str | None) -> str:
    answer: str = typer.prompt(question, default=default, err=True)
    return answer
