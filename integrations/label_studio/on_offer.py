"""What a server currently has up for review, to check that pushes are complete."""

from collections.abc import Iterable, Sequence

from sparsedet.push_modes import OnOffer, PushedImage
from sparsedet.reviews import AnnotationRule

from .annotation_choice import annotation_version
from .client.connection import Connection
from .drafts.draft_tasks import (
    DraftTask,
    is_signed,
    marked_regions,
    owner_of,
    read_draft_tasks,
)
from .marks import Mark, is_of_other_workspace, read_mark
from .predictions import read_predictions
from .review_project.review_setup import find_reviews
from .review_project.review_tasks import (
    VERSION_KEY,
    ReviewTask,
    read_review_project,
    read_review_tasks,
)


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
    boxes: dict[str, list[str]] = {}
    busy: set[str] = set()
    for task in tasks:
        busy |= task.mined_ids if task.drafts else task.shown_ids
        for prediction in task.own_predictions if task.is_open else ():
            where = f"prediction {prediction.id} of task {task.id}"
            _add(boxes, sorted(prediction.mined_ids), where)
    return OnOffer(
        boxes,
        busy=frozenset(busy),
        empty=[f"task {task.id}" for task in tasks if _is_empty(task)],
        doubles=_doubles(connection, review, mark),
    )


def drafts_on_offer(
    connection: Connection,
    project: int,
    pushed: Sequence[PushedImage],
    rule: AnnotationRule,
    owner: str | None,
) -> OnOffer:
    """Return what is up for review in an annotated project itself, as drafts and predictions.

    Args:
        connection: to the server; drafts of all accounts are included.
        project: the annotated project.
        pushed: pushed boxes, with the annotation versions that they were pushed onto.
        rule: which of several annotations counts.
        owner: the workspace; drafts and predictions of others are not listed.
    """
    tasks, stored = read_draft_tasks(connection, project), read_predictions(connection, project)
    boxes: dict[str, list[str]] = {}
    for task in tasks.values():
        for draft in task.drafts:
            if draft.is_untouched and not is_of_other_workspace(draft.owner, owner):
                _add(boxes, draft.mined, f"draft {draft.id} of task {task.id}")
        for prediction in () if task.submitted else stored.get(task.id, ()):
            mark = owner_of(prediction.result)
            if is_signed(prediction.result) and not is_of_other_workspace(mark, owner):
                where = f"prediction {prediction.id} of task {task.id}"
                _add(boxes, marked_regions(prediction.result), where)
    busy = {
        id
        for image in pushed
        if image.tool_id in tasks and _is_busy(tasks[image.tool_id], image.version, rule)
        for id in image.region_ids
    }
    return OnOffer(boxes, busy=frozenset(busy))


def _add(boxes: dict[str, list[str]], ids: Iterable[str], where: str) -> None:
    for id in ids:
        boxes.setdefault(id, []).append(where)


def _is_empty(task: ReviewTask) -> bool:
    """Whether a task unexpectedly lacks its prediction."""
    return task.is_untouched and not task.predictions and VERSION_KEY not in task.data


def _is_busy(task: DraftTask, version: str | None, rule: AnnotationRule) -> bool:
    """Whether somebody has started a task, or saved it since its boxes were pushed."""
    now = "+".join(annotation_version(a) for a in task.chosen(rule)) or None
    return now != version or any(not draft.is_untouched for draft in task.drafts)


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
