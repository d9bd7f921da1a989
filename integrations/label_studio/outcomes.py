"""`review`: what people made of the predictions in a review project."""

import logging
from collections.abc import Mapping
from typing import Any

from sparsedet.tool import ReviewedImage, ReviewedRegion

from .config import LabelConfig
from .connection import Connection, project_number
from .reading import read_config
from .regions import Oddities, read_regions
from .review_tasks import ReviewTask, read_review_tasks

logger = logging.getLogger(__name__)


def read_reviewed(connection: Connection, review_project: str) -> list[ReviewedImage]:
    """Return every submitted review of a review project, in the order of its tasks.

    Of several reviews of a task the newest counts; a skipped task is not reviewed. What can't be
    read as a box (a polygon that the reviewer drew, say) is left out and counted in one warning.
    """
    number = project_number(review_project)
    config = read_config(connection, number)
    tasks = [task for task in read_review_tasks(connection, number) if task.review is not None]
    names = _reviewer_names(connection) if tasks else {}
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
    regions = read_regions(review.get("result"), config, task.id, oddities)
    # An updated review belongs to the person who changed it last.
    person = review.get("updated_by") or review.get("completed_by")
    seconds = review.get("lead_time")
    return ReviewedImage(
        tool_id=task.source_task,
        regions=tuple(
            ReviewedRegion(region.id or "", by_id[region.category_id], region.xyxy)
            for region in regions
        ),
        shown=task.shown_ids,
        reviewer=None if person is None else names.get(int(person), str(person)),
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
    )


def _reviewer_names(connection: Connection) -> Mapping[int, str]:
    """Return the accounts' mail addresses by number."""
    with connection.request("listing the reviewers"):
        return {
            int(user.id): user.email
            for user in connection.client.users.list()
            if user.id is not None and user.email
        }
