"""`review`: what people made of the predictions in a review project."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sparsedet.tool import ReviewedImage, ReviewedRegion

from .config import LabelConfig
from .connection import Connection, project_number
from .reading import read_config
from .regions import Oddities, Region, is_complete, read_regions
from .review_tasks import ReviewTask, read_review_tasks

logger = logging.getLogger(__name__)


def read_reviewed(
    connection: Connection, review_project: str, *, complete_control: str | None = None
) -> list[ReviewedImage]:
    """Return every submitted review of a review project, in the order of its tasks.

    Of several reviews of a task the newest counts; a skipped task is not reviewed. What can't be
    read as a box (a polygon that the reviewer drew, say) is left out and counted in one warning;
    a mined box that became such a thing (given two labels, say) counts as not judged.
    """
    number = project_number(review_project)
    config = read_config(connection, number, complete_control)
    tasks = [task for task in read_review_tasks(connection, number) if task.review is not None]
    names = account_names(connection) if tasks else {}
    oddities = Oddities()
    reviewed = [_reviewed_image(task, config, names, oddities) for task in tasks]
    if oddities:
        logger.warning(
            "review project %s: regions not used as they stand: %s",
            review_project,
            oddities,
        )
    return reviewed


def _reviewed_image(
    task: ReviewTask, config: LabelConfig, names: Mapping[int, str], oddities: Oddities
) -> ReviewedImage:
    review: Mapping[str, Any] = task.review or {}
    by_id = {category.id: category.name for category in config.categories}
    results = review.get("result") or []
    regions = list(read_regions(results, config, task.id, oddities))
    unreadable = {str(r["id"]) for r in results if r.get("id")} - {r.id for r in regions}
    seconds = review.get("lead_time")
    return ReviewedImage(
        tool_id=task.source_task,
        regions=tuple(
            ReviewedRegion(region.id or "", by_id[region.category_id], region.xyxy, region.unsure)
            for region in regions
        ),
        shown=_shown(task, regions) - unreadable,
        reviewer=saved_by(review, names),
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
        complete=is_complete(results, config),
        review_id=f"{task.id}/{review.get('id')}",
    )


def _shown(task: ReviewTask, regions: Sequence[Region]) -> frozenset[str]:
    """Return the ids of what the reviewer was shown: the prediction, not what was drawn beside it.

    Where the prediction is gone, mined boxes that are left are known to come from one.
    """
    mined = frozenset(region.id for region in regions if region.predicted and region.id)
    started_from = task.reviewed_prediction
    return mined | started_from.region_ids if started_from else mined


def saved_by(annotation: Mapping[str, Any], names: Mapping[int, str]) -> str | None:
    """Return who an annotation belongs to: the person who changed it last; None if unknown.

    Args:
        annotation: as the server holds it.
        names: from `account_names`.
    """
    person = annotation.get("updated_by") or annotation.get("completed_by")
    return None if person is None else names.get(int(person), str(person))


def account_names(connection: Connection) -> Mapping[int, str]:
    """Return the accounts' mail addresses by number."""
    with connection.request("listing the accounts"):
        return {
            int(user.id): user.email
            for user in connection.client.users.list()
            if user.id is not None and user.email
        }
