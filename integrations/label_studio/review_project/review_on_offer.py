"""What a review project currently has up for review, to check that pushes are complete."""

from collections import defaultdict

from sparsedet.push_modes import OnOffer

from ..client.connection import Connection
from ..marks import Mark, read_mark
from .review_setup import find_reviews
from .review_tasks import VERSION_KEY, ReviewTask, read_review_project, read_review_tasks


def review_on_offer(connection: Connection, review: int, owner: str | None) -> OnOffer:
    """Return what is up for review in a review project (for contact sheets or images).

    Args:
        connection: to the server.
        review: number of the review project.
        owner: the workspace; if another one has taken over the project, nothing is listed.

    Raises:
        PlaceGoneError: if the project was deleted.
    """
    mark = read_mark(read_review_project(connection, review).description)
    if mark is not None and mark.is_foreign(owner):
        return OnOffer({})
    tasks = read_review_tasks(connection, review)
    boxes: dict[str, list[str]] = defaultdict(list)
    busy: set[str] = set()
    for task in tasks:
        busy |= task.mined_ids if task.drafts else task.shown_ids
        for prediction in task.own_predictions if task.is_open else ():
            where = f"prediction {prediction.id} of task {task.id}"
            for id in sorted(prediction.mined_ids):
                boxes[id].append(where)
    return OnOffer(
        dict(boxes),
        busy=frozenset(busy),
        empty=[f"task {task.id}" for task in tasks if _is_empty(task)],
        doubles=_doubles(connection, review, mark),
    )


def _is_empty(task: ReviewTask) -> bool:
    """Whether a task unexpectedly lacks its prediction."""
    return task.is_untouched and not task.predictions and VERSION_KEY not in task.data


def _doubles(connection: Connection, review: int, mark: Mark | None) -> list[str]:
    """Return duplicates of a review project that this workspace, or nobody, has claimed."""
    if mark is None:
        return []
    others = find_reviews(connection, mark.source, mark.control or "", sheets=mark.sheets)
    return [
        f"{connection.url}/projects/{other.number}"
        for other in others
        if other.number != review and not other.mark.is_foreign(mark.workspace)
    ]
