"""What a review project holds: tasks, their predictions, and submitted reviews."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .connection import Connection
from .reading import export_tasks
from .regions import newest
from .review_project import SOURCE_TASK_KEY


@dataclass(frozen=True, slots=True)
class StoredPrediction:
    """A prediction as the server holds it."""

    id: int
    model_version: str
    result: Sequence[Mapping[str, Any]]

    @property
    def region_ids(self) -> frozenset[str]:
        """Ids of the regions that it offers to the reviewer."""
        return frozenset(str(region["id"]) for region in self.result if region.get("id"))


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

        A review that somebody drew from scratch, beside the prediction, has judged nothing but
        what is in it.
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


def read_predictions(
    connection: Connection, project: int
) -> Mapping[int, Sequence[StoredPrediction]]:
    """Return the predictions of every task that has any, oldest first (about 2,000 per second)."""
    entries = connection.get_json(
        "api/predictions/", {"project": project}, f"reading the predictions of project {project}"
    )
    by_task: dict[int, list[StoredPrediction]] = defaultdict(list)
    for entry in sorted(entries, key=lambda entry: int(entry["id"])):
        by_task[int(entry["task"])].append(
            StoredPrediction(int(entry["id"]), entry.get("model_version") or "", entry["result"])
        )
    return by_task
