"""Take back what pushes put up in a review project, where nobody has touched it."""

from collections.abc import Collection, Iterable

from sparsedet.tool import Progress, UndoReport

from ..connection import Connection
from ..views import hide_versions, remove_view
from .review_plan import ReviewPlan, plan_undo
from .review_push import apply_plan
from .review_setup import VIEW_TITLE
from .review_tasks import ReviewTask, read_review_tasks


def undo_review(
    connection: Connection,
    review: int,
    region_ids: Collection[str] | None,
    *,
    dry_run: bool,
    progress: Progress,
) -> UndoReport:
    """Delete predictions of ours on open tasks, the tasks that are then empty, and our view.

    Submitted reviews, people's drafts, tasks that people added, and renamed views stay.

    Args:
        connection: to the server.
        review: number of the review project.
        region_ids: the mined boxes; None: all.
        dry_run: only work out the report.
        progress: called for everything that is deleted.
    """
    tasks = read_review_tasks(connection, review)
    plan = plan_undo(tasks, region_ids)
    judged = {id for task in tasks for id in task.shown_ids}
    offered = {id for task in tasks if task.is_open for p in task.predictions for id in p.mined_ids}
    asked = offered if region_ids is None else set(region_ids)
    if not dry_run:
        hide_versions(connection, review, _last_of_their_version(tasks, plan))
        apply_plan(connection, review, plan, progress)
    return UndoReport(
        predictions=len(plan.outdated),
        tasks=len(plan.empty),
        views=0 if plan.up else remove_view(connection, review, VIEW_TITLE, dry_run=dry_run),
        region_ids=frozenset(asked - plan.up - judged),
        kept=plan.kept,
    )


def _last_of_their_version(tasks: Iterable[ReviewTask], plan: ReviewPlan) -> set[str]:
    """Return the model versions of which no prediction is left in the end."""
    outdated = {p.id for p in plan.outdated}
    left = {p.model_version for task in tasks for p in task.predictions if p.id not in outdated}
    return {p.model_version for p in plan.outdated} - left - {p.model_version for p in plan.new}
