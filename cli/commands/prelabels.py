"""`sparsedet predict --push`: pre-labels in a project of an annotation tool."""

from collections.abc import Collection
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sparsedet.errors import SparseDetError
from sparsedet.loop.workspace import Workspace, enclosing
from sparsedet.wording import counted

from ..display import progress_bar
from ..output import command, echo, emit_json, say

if TYPE_CHECKING:
    from sparsedet.prelabels import PrelabelReport, PrelabelTool


def push_prelabels(
    run: Path,
    project: str,
    tool: str,
    url: str | None,
    *,
    score: float,
    classes: Collection[str] | None,
    tile: int | None,
    batch: int | None,
    device: str,
    dry_run: bool,
    json_output: bool,
) -> None:
    """Pre-label a project and report the result; arguments as for `sparsedet predict`."""
    from sparsedet.prediction.prelabelling import DetectorPrelabels

    model = DetectorPrelabels(
        run, score=score, classes=classes, tile=tile, batch=batch, device=device
    )
    connection, workspace = _connect(run, project, tool, url)
    with progress_bar() as progress:
        report = connection.prelabel(
            project,
            model,
            cache=workspace.images if workspace else None,
            dry_run=dry_run,
            progress=progress,
        )
    if json_output:
        emit_json(asdict(report) | {"dry_run": dry_run})
        return
    _say(report, project, dry_run=dry_run)
    if not dry_run:
        say(f"to delete them: {command('predict', run, f'--push {project} --undo')}")


def take_back(
    run: Path, project: str, tool: str, url: str | None, *, dry_run: bool, json_output: bool
) -> None:
    """Delete the pre-labels of a project, and report how many there were."""
    connection, _ = _connect(run, project, tool, url)
    with progress_bar() as progress:
        report = connection.undo_prelabels(project, dry_run=dry_run, progress=progress)
    if json_output:
        emit_json(asdict(report) | {"dry_run": dry_run})
        return
    verb = "would be" if dry_run else "is" if report.predictions == 1 else "are"
    echo(f"{counted(report.predictions, 'prediction')} {verb} deleted")
    if report.kept:
        kept = counted(report.kept, "is", "are")
        say(f"{kept} kept, on tasks that people have annotated or started")


def _connect(
    run: Path, project: str, tool: str, url: str | None
) -> "tuple[PrelabelTool, Workspace | None]":
    """Return the tool, and the run's workspace if it is one of the same project."""
    from sparsedet.plugins import check_project, load_prelabel_integration
    from sparsedet.tool import ToolOptions

    if not run.exists():
        raise SparseDetError(f"{run}: no such folder")
    integration = load_prelabel_integration(tool)
    check_project(tool, project)
    options, workspace = ToolOptions(), enclosing(run)
    if workspace is not None:
        settings = workspace.settings()
        source = settings.source
        options = ToolOptions(images=settings.images.options())
        if source.tool != tool or source.project != project or url not in (None, source.url):
            workspace = None
        else:
            options = settings.tool_options()
        if source.tool == tool and url is None:
            return integration(source.url, options), workspace
    return integration(url, replace(options, named_url=url is not None)), workspace


def _say(report: "PrelabelReport", project: str, *, dry_run: bool) -> None:
    boxes = f" with {counted(sum(report.boxes.values()), 'box')}" if not dry_run else ""
    verb = "would get" if dry_run else "got"
    echo(
        f"{counted(report.images, 'task')} {verb} predictions{boxes} at {report.url} "
        f"(model version {report.model_version}); {report.kept} already had them, "
        f"{counted(report.annotated, 'is', 'are')} annotated or started"
    )
    if report.replaced:
        verb = "would be" if dry_run else "is" if report.replaced == 1 else "are"
        say(f"{counted(report.replaced, 'older prediction')} {verb} deleted")
    if report.missing:
        names = ", ".join(report.missing)
        say(f"left out, because project {project} has no label for them: {names}")
    if report.shown_instead:
        say(
            f"project {project} is set to show the predictions of {report.shown_instead!r}; to see "
            f"these, choose {report.model_version!r} under Settings > Annotation"
        )
