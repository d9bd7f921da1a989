"""The push of a round: to images, contact sheets, or both."""

from dataclasses import asdict, replace
from typing import Any

from sparsedet.annotations import Dataset
from sparsedet.completeness.budget import Budget
from sparsedet.ledger import Ledger, QueueEntry
from sparsedet.loop.lot_file import write_lots
from sparsedet.loop.plan_file import KnownReviews, known_reviews, read_plan, write_plan
from sparsedet.loop.pulled_files import read_round
from sparsedet.loop.pushing import Pusher, UpForReview, up_for_review
from sparsedet.loop.reviews import Connections, Say
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.round_queue import RoundPlan, plan_round, queue_record
from sparsedet.loop.round_sheets import pictures_of, round_sheets, split_up
from sparsedet.loop.settings import Settings
from sparsedet.loop.suspicions import answers, marks_record, to_mark
from sparsedet.loop.workspace import Workspace
from sparsedet.push_modes import ModeName, Progress, PushReport
from sparsedet.reading import read_list
from sparsedet.runtime.garbage import few_collections
from sparsedet.sheets import Sheet, SheetFile
from sparsedet.wording import counted


@few_collections()
def push_round(
    workspace: Workspace,
    folder: RoundFolder,
    settings: Settings,
    ledger: Ledger,
    connections: Connections,
    *,
    budget: Budget | None,
    say: Say,
    progress: Progress,
) -> dict[str, Any]:
    """Push a round that has mined; return the content of `push.json`.

    Args:
        workspace: the round's workspace.
        folder: the round's folder.
        settings: the workspace's settings.
        ledger: the ledger with all reviews; records the push.
        connections: connections to the annotation tools.
        budget: limits the queue, or the sheets; None: as in the settings.
        say: receives messages for the user.
        progress: called while pushing.
    """
    dataset = read_round(folder)
    plan, known = _planned(workspace, folder, dataset, settings, ledger, budget, say)
    if plan.sure_only:
        later = f", {len(plan.left_out)} left to later rounds" if plan.left_out else ""
        sample = " but what the blind sample lacks" if plan.held_back else ""
        say(
            f"sure boxes first: {counted(len(plan.shown), 'box', 'boxes')} up for review{later}; "
            f"nothing needs to be drawn{sample}"
        )
    version = folder.run.info().run_id
    wanted = up_for_review(ledger, dataset, plan.shown, version, held_back=plan.held_back)
    pushes = _parts(workspace, folder, settings, ledger, dataset, plan, wanted, progress)
    answered = answers(workspace, ledger, settings.source.annotations)
    suspicions = to_mark(
        folder,
        dataset,
        plan.queue,
        {box for box, answer in answered.items() if answer != "waiting"},
        settings.review.suspicions,
    )
    first = next(iter(pushes), settings.review.modes[0])
    pusher = Pusher(ledger, connections, settings.source, first, workspace.images, say, progress)
    _hold(pusher, plan, folder, dataset)
    reports: dict[ModeName, PushReport] = {}
    for mode, (part, queue, sheets) in pushes.items():
        reports[mode], _ = replace(pusher, mode=mode).push(
            dataset,
            part,
            model_version=version,
            round=folder.number,
            queue=queue,
            sheets=sheets,
            suspicions=suspicions if queue else (),
        )
    # Including boxes that were not up anywhere.
    ledger.withdraw(wanted.withdrawn)
    record = _record(reports, settings, connections)
    if reports:
        skipped = {id for report in reports.values() for id in report.skipped}
        record |= {
            "withdrawn": sorted(wanted.withdrawn),
            "queue": queue_record(plan.queue, dataset),
            "held": len(plan.held),
            "left_out": sorted(plan.left_out),
            "sure_only": plan.sure_only,
            "suspicions": marks_record(suspicions, dataset, skipped),
        }
    return record | {
        "mined": len(read_list(folder.mined)),
        **asdict(known),
    }


def _planned(
    workspace: Workspace,
    folder: RoundFolder,
    dataset: Dataset,
    settings: Settings,
    ledger: Ledger,
    budget: Budget | None,
    say: Say,
) -> tuple[RoundPlan, KnownReviews]:
    """Return a round's plan, and what was reviewed before; stored before anything is shown."""
    if kept := read_plan(folder, dataset, settings, ledger):
        say(f"the push of round {folder.number} was interrupted; it continues as planned")
        return kept
    plan = plan_round(workspace, folder, dataset, settings, ledger, budget)
    known = known_reviews(ledger)
    if plan.lots:
        write_lots(plan.lots, folder)
    write_plan(plan, known, folder, settings)
    return plan, known


def _hold(pusher: Pusher, plan: RoundPlan, folder: RoundFolder, dataset: Dataset) -> None:
    """Record the lots of a round before any of their boxes is shown."""
    version = folder.run.info().run_id
    for lot in plan.lots:
        held = [box for box in plan.held if box.region_id in lot.rest]
        pusher.hold(dataset, held, lot.place, model_version=version, round=folder.number)
        pusher.say(
            f"{lot}: {len(lot.sample)} of its {len(lot.boxes)} boxes are up for review as a sample "
            f"({lot.allowed} may be wrong); {counted(len(held), 'waits', 'wait')} for the result"
        )


_Part = tuple[UpForReview, tuple[QueueEntry, ...], list[SheetFile]]


def _parts(
    workspace: Workspace,
    folder: RoundFolder,
    settings: Settings,
    ledger: Ledger,
    dataset: Dataset,
    plan: RoundPlan,
    wanted: UpForReview,
    progress: Progress,
) -> dict[ModeName, _Part]:
    """Return what each mode has to push; modes with nothing to do are left out.

    Older boxes that this push replaces are withdrawn everywhere, also in modes no longer in the
    settings. If the settings name sheets alone, boxes left undecided on sheets still need images.
    """
    layouts: tuple[Sheet, ...] = ()
    if "sheets" in settings.review.modes:
        boxes = [box for box in wanted.boxes if box.region_id in plan.on_sheets]
        layouts = round_sheets(folder, boxes, dataset, workspace.images)
    on_sheets = {crop.region_id for sheet in layouts for crop in sheet.crops}
    on_images, left = split_up(wanted, on_sheets, ledger)
    if settings.review.mode == "draft":
        # Drafts can't be combined with another mode.
        on_images, left = wanted, UpForReview((), frozenset())
    parts: dict[ModeName, _Part] = {}
    if on_images.boxes or on_images.withdrawn or plan.queue:
        mode: ModeName = "draft" if settings.review.mode == "draft" else "review-project"
        parts[mode] = on_images, plan.queue, []
    if left.boxes or left.withdrawn:
        pictures = folder.root / "sheets"
        files = pictures_of(layouts, dataset, workspace.images, pictures, progress)
        parts["sheets"] = left, (), files
    return parts


def _record(
    reports: dict[ModeName, PushReport], settings: Settings, connections: Connections
) -> dict[str, Any]:
    """Return the push records of `push.json`; see `pushed_parts`.

    The first push is at the top level; a push that only withdrew boxes of a mode outside the
    settings comes last.
    """
    record: dict[str, Any] = {"url": None, "boxes": 0, "images": 0}
    url = connections.ledger_source(settings.source).url
    modes = settings.review.modes
    for mode, report in sorted(
        reports.items(), key=lambda r: not r[1].images and r[0] not in modes
    ):
        # The counts of a repeated call depend on where an earlier one was interrupted.
        content = {k: v for k, v in asdict(report).items() if k not in ("created", "deleted")}
        content |= {
            "gone": sorted(report.gone),
            "place": {
                "tool": settings.source.tool,
                "url": url,
                "project": settings.source.project,
                "review_project": report.review_project,
                "mode": mode,
            },
        }
        if record["url"] is None:
            record |= content
        else:
            record[mode] = content
            record["boxes"] += report.boxes
            record["images"] += report.images
    return record
