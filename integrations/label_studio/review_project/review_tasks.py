"""The tasks of a review project, and what reviewers made of the predictions on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparsedet.tool import ReviewedImage

from ..connection import Connection, project_number
from ..label_config import LabelConfig
from ..predictions import StoredPrediction, read_predictions
from ..projects import account_names, export_tasks, read_config, saved_by
from ..regions import Oddities, Region, is_complete, newest, read_regions, reviewed_region

SOURCE_TASK_KEY = "sparsedet_source_task"
"""Key of a review task's data: the id of the task in the annotated project that it copies."""


@dataclass(frozen=True, slots=True)
class ReviewTask:
    """A task of a review project."""

    id: int
    source_task: str
    """Id of the task in the annotated project that it copies."""
    predictions: tuple[StoredPrediction, ...]
    """Oldest first."""
    review: Mapping[str, Any] | None
    """The newest annotation that was not skipped; None while nobody has submitted one."""

    @property
    def reviewed_prediction(self) -> StoredPrediction | None:
        """The prediction that the review started from; None without review, or when it is gone."""
        parent = self.review.get("parent_prediction") if self.review else None
        return next((p for p in self.predictions if p.id == parent), None)

    @property
    def shown_ids(self) -> frozenset[str]:
        """Ids of the regions that the submitted review has judged; empty without a review.

        A review that somebody drew from scratch, without the prediction, has judged only what is
        in it.
        """
        if self.review is None:
            return frozenset()
        kept = frozenset(str(r["id"]) for r in self.review.get("result") or [] if r.get("id"))
        started_from = self.reviewed_prediction
        return kept | started_from.region_ids if started_from else kept


def read_review_tasks(connection: Connection, review: int) -> list[ReviewTask]:
    """Return all tasks of a review project in the order of their ids.

    Tasks that people added to the project themselves, and that copy nothing, are left out.
    """
    predictions = read_predictions(connection, review)
    return [
        ReviewTask(
            id=int(task["id"]),
            source_task=str(task["data"][SOURCE_TASK_KEY]),
            predictions=tuple(predictions.get(int(task["id"]), ())),
            review=newest(task.get("annotations") or []),
        )
        for task in sorted(export_tasks(connection, review), key=lambda task: int(task["id"]))
        if SOURCE_TASK_KEY in task["data"]
    ]


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
    oddities.warn(f"review project {review_project}")
    return reviewed


def _reviewed_image(
    task: ReviewTask, config: LabelConfig, names: Mapping[int, str], oddities: Oddities
) -> ReviewedImage:
    review: Mapping[str, Any] = task.review or {}
    results = review.get("result") or []
    regions = list(read_regions(results, config, task.id, oddities))
    unreadable = {str(r["id"]) for r in results if r.get("id")} - {r.id for r in regions}
    seconds = review.get("lead_time")
    return ReviewedImage(
        tool_id=task.source_task,
        regions=tuple(reviewed_region(region, config) for region in regions),
        shown=_shown(task, regions) - unreadable,
        reviewer=saved_by(review, names),
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
        complete=is_complete(results, config),
        review_id=f"{task.id}/{review.get('id')}",
    )


def _shown(task: ReviewTask, regions: Sequence[Region]) -> frozenset[str]:
    """Return the ids of what the reviewer was shown: the prediction, not what they drew.

    Where the prediction is gone, mined boxes that are left are known to come from one.
    """
    mined = frozenset(region.id for region in regions if region.predicted and region.id)
    started_from = task.reviewed_prediction
    return mined | started_from.region_ids if started_from else mined
