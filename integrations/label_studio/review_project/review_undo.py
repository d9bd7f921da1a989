"""Withdraws untouched boxes of pushes from a review project."""

from collections.abc import Collection

from sparsedet.push_modes import Progress, UndoReport

from ..client.connection import Connection
from ..views import hide_versions, remove_views
from .review_plan import plan_undo, vanishing_versions
from .review_push import apply_plan
from .review_setup import EARLIER_VIEW_TITLE, VIEW_TITLE
from .review_tabs import remove_tabs
from .review_tasks import read_review_tasks


def undo_review(
    connection: Connection,
    review: int,
    region_ids: Collection[str] | None,
    *,
    dry_run: bool,
    progress: Progress,
) -> UndoReport:
    """Delete our predictions on open tasks, tasks that become empty, and our views.

    Submitted reviews, people's drafts, tasks that people added, and renamed views stay.

    Args:
        connection: to the server.
        review: number of the review project.
        region_ids: the mined boxes; None for all.
        dry_run: only work out the report.
        progress: called for everything that is deleted.
    """
    tasks = read_review_tasks(connection, review)
    plan = plan_undo(tasks, region_ids)
    judged = {id for task in tasks for id in task.shown_ids}
    offered = {id for task in tasks if task.is_open for p in task.predictions for id in p.mined_ids}
    asked = offered if region_ids is None else set(region_ids)
    if not dry_run:
        hide_versions(connection, review, vanishing_versions(tasks, plan))
        apply_plan(connection, review, plan, progress)
    views = 0
    if not plan.up and not plan.kept:
        titles = (VIEW_TITLE, EARLIER_VIEW_TITLE)
        views = remove_views(
            connection, review, lambda v: v.get("title") in titles, dry_run=dry_run
        )
        views += remove_tabs(connection, review, dry_run=dry_run)
    return UndoReport(
        predictions=len(plan.outdated),
        tasks=len(plan.empty),
        views=views,
        region_ids=frozenset(asked - plan.up - judged),
        kept=plan.kept,
    )
