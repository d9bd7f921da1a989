"""`sparsedet push`."""

import shlex
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparsedet.errors import SparseDetError
from sparsedet.loop.workspace import Workspace, enclosing, locate, owner_id
from sparsedet.wording import counted

from ..display import progress_bar
from ..options import DEFAULT_TOOL, Json, TakeOver, Url, complete_modes, push_mode, tool_option
from ..output import command, echo, emit_json, say

if TYPE_CHECKING:
    from sparsedet.ledger import Ledger
    from sparsedet.loop.settings import Settings, Source


def push(
    mined: Annotated[
        str | None,
        typer.Argument(
            metavar="MINED",
            help="mined.json, as written by `sparsedet mine`; with --undo, the number of a round.",
        ),
    ] = None,
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            help="Annotations that were mined on: a workspace, or a COCO file split from it.",
        ),
    ] = Path(),
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only report what would be pushed and deleted."),
    ] = False,
    undo: Annotated[
        bool,
        typer.Option(
            "--undo",
            help="Withdraw untouched boxes from review: delete the predictions, drafts, views and "
            "empty review tasks that sparsedet created; with MINED, only those of one round.",
        ),
    ] = False,
    take_over: TakeOver = False,
    project: Annotated[
        str | None,
        typer.Option("--project", help="The annotated project's number. Default: the workspace's."),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(
            "--ledger",
            help="Ledger file, the record of every box ever pushed. Default: the workspace's; "
            "without a workspace, `ledger.sqlite` next to MINED.",
        ),
    ] = None,
    model_version: Annotated[
        str | None,
        typer.Option(
            "--model-version",
            help="Model version to show for the boxes. Default: the id of the run that mined them.",
        ),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            "--mode",
            help="review-project, draft or sheets (contact sheets with crops of many images). "
            "Default: the workspace's; if that is auto, review-project.",
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
    """Push mined boxes for review, next to the human annotations.

    Boxes go to a separate review project; with --mode sheets, to contact sheets of crops; with
    --mode draft, to drafts on the annotations that only you see. Your annotations are never
    changed. A push is idempotent: repeat an interrupted one to complete it. Unreviewed boxes of
    older models are replaced.
    """
    from sparsedet.loop.push_file import push_file
    from sparsedet.loop.pushing import Pusher
    from sparsedet.loop.reviews import Connections

    workspace = enclosing(data)
    settings = workspace.settings() if workspace else None
    if undo:
        if take_over:
            raise SparseDetError("--undo withdraws only this workspace's boxes; drop --take-over")
        _undo(workspace, settings, ledger, mined, url, dry_run=dry_run, json_output=json_output)
        return
    if mined is None:
        raise SparseDetError("missing boxes: pass MINED, the mined.json of `sparsedet mine`")
    boxes_file = Path(mined)
    annotations = _annotations(data)
    source = _source(settings, tool, url, project)
    how = push_mode(mode or (settings.review.modes[0] if settings else "review-project"))
    # Before pushing: without a ledger, pushed boxes could not be tracked.
    file = ledger or (workspace.ledger if workspace else boxes_file.parent / "ledger.sqlite")
    own = workspace if workspace and file == workspace.ledger else None
    with (
        workspace.lock() if workspace else nullcontext(),
        _opened(file, workspace, settings) as record,
        progress_bar() as progress,
    ):
        connections = Connections(settings, named=url, owner=owner_id(file.parent))
        images = locate(annotations, None)[1]
        report, new = push_file(
            Pusher(record, connections, source, how, images, say, progress),
            boxes_file,
            annotations,
            workspace=own,
            model_version=model_version,
            take_over=take_over,
            dry_run=dry_run,
        )
    if json_output:
        emit_json(
            {
                "review_project": report.review_project,
                "url": report.url,
                "model_version": report.model_version,
                "mode": how,
                "images": report.images,
                "boxes": report.boxes,
                "created": report.created,
                "deleted": report.deleted,
                "skipped": dict(report.skipped),
                "new_in_ledger": new,
                "dry_run": dry_run,
                "ledger": str(file),
            }
        )
        return
    verb = "would be" if dry_run else "is" if report.boxes == 1 else "are"
    deleted = counted(
        report.deleted,
        "outdated prediction, draft or task",
        "outdated predictions, drafts and tasks",
    )
    echo(
        f"{counted(report.boxes, 'mined box')} on {counted(report.images, 'image')} {verb} up for "
        f"review at {report.url} (model version {report.model_version}; "
        f"{counted(report.created, 'image')} new or changed, {deleted} deleted)"
    )
    if dry_run:
        say("nothing was pushed (--dry-run)")
        return
    if own:
        settled_by = command("review", data if data.resolve() == own.root else own.root)
    else:
        settled_by = command("review", Path(), f"--ledger {shlex.quote(str(file))}")
    say(f"next: review them there, then: {settled_by}")


@contextmanager
def _opened(
    file: Path,
    workspace: Workspace | None,
    settings: "Settings | None",
    *,
    must_exist: bool = False,
) -> "Iterator[Ledger]":
    """Open the ledger; rebuild a workspace's ledger first if it is lost."""
    from sparsedet.ledger import Ledger
    from sparsedet.loop.ledger_rebuild import rebuild

    is_own = workspace is not None and file == workspace.ledger
    if workspace and settings and is_own and (rebuilt := rebuild(workspace, settings)):
        say(rebuilt)
    with closing(Ledger(file, must_exist=must_exist)) as ledger:
        yield ledger


def _undo(
    workspace: Workspace | None,
    settings: "Settings | None",
    ledger: Path | None,
    round: str | None,
    url: str | None,
    *,
    dry_run: bool,
    json_output: bool,
) -> None:
    from sparsedet.loop.lots import collect_and_settle
    from sparsedet.loop.push_undo import undo_push
    from sparsedet.loop.reviews import Connections

    if round is not None and not round.isdigit():
        raise SparseDetError(f"--undo {round}: expected a round number, or nothing")
    if ledger is None and workspace is None:
        raise SparseDetError("missing workspace: pass it with --data, or its ledger with --ledger")
    file = ledger or (workspace.ledger if workspace else Path())
    with (
        workspace.lock() if workspace else nullcontext(),
        _opened(file, workspace, settings, must_exist=True) as record,
        progress_bar() as progress,
    ):
        if round is not None and int(round) not in {push.round for push in record.pushes()}:
            raise SparseDetError(f"--undo {round}: round {round} has no pushed boxes")
        connections = Connections(settings, url=url, owner=owner_id(file.parent))
        # A box whose review was just submitted must not be withdrawn.
        rule = settings.source.annotations if settings else "ground-truth-first"
        own = workspace if workspace and file == workspace.ledger else None
        collect_and_settle(own, record, connections, rule, say=say, progress=progress)
        report = undo_push(
            record,
            connections,
            settings=settings if own else None,
            round=int(round) if round else None,
            dry_run=dry_run,
            say=say,
            progress=progress,
        )
    if json_output:
        emit_json(asdict(report) | {"region_ids": sorted(report.region_ids), "dry_run": dry_run})
        return
    boxes = len(report.region_ids)
    if dry_run:
        what = f"{counted(boxes, 'mined box')} would be withdrawn"
    else:
        what = f"{counted(boxes, 'mined box is', 'mined boxes are')} no longer up for review"
    echo(
        f"{what} ({counted(report.predictions, 'prediction')}, {counted(report.drafts, 'draft')}, "
        f"{counted(report.tasks, 'review task')}, {counted(report.views, 'view')})"
    )
    for tool_id, reason in report.kept.items():
        say(f"image {tool_id} is left as it is: {reason}")


def _annotations(data: Path) -> Path:
    """Return the COCO file to push from: only it has the annotation tool's ids."""
    file = Workspace(data).annotations if data.is_dir() else data
    if data.is_dir() and not file.is_file():
        raise SparseDetError(
            f"{data}: no annotations.json in this folder; a push needs the ids that a pull "
            "records: create a workspace (`sparsedet init`, `sparsedet pull`), then mine and push "
            "its boxes"
        )
    if not file.is_file():
        raise SparseDetError(f"{file}: no such file")
    return file


def _source(
    settings: "Settings | None", tool: str | None, url: str | None, project: str | None
) -> "Source":
    """Return where to push, from the options, with the workspace's source as default."""
    from sparsedet.loop.settings import Source

    known = settings.source if settings else None
    if known is None and project is None:
        raise SparseDetError(
            "missing project: pass --project (the data is not in a pulled workspace)"
        )
    return Source(
        annotations=known.annotations if known else "ground-truth-first",
        tool=tool or (known.tool if known else DEFAULT_TOOL),
        url=url or (known.url if known else ""),
        project=project or (known.project if known else ""),
    )
