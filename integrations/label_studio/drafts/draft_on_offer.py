"""What an annotated project currently has up for review, to check that pushes are complete."""

from collections import defaultdict
from collections.abc import Sequence

from sparsedet.push_modes import OnOffer, PushedImage
from sparsedet.reviews import AnnotationRule

from ..annotation_choice import annotation_version
from ..client.connection import Connection
from ..marks import is_of_other_workspace
from ..predictions import read_predictions
from .draft_tasks import DraftTask, is_signed, marked_regions, owner_of, read_draft_tasks


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
    boxes: dict[str, list[str]] = defaultdict(list)
    for task in tasks.values():
        for draft in task.drafts:
            if draft.is_untouched and not is_of_other_workspace(draft.owner, owner):
                for id in draft.mined:
                    boxes[id].append(f"draft {draft.id} of task {task.id}")
        for prediction in () if task.submitted else stored.get(task.id, ()):
            mark = owner_of(prediction.result)
            if is_signed(prediction.result) and not is_of_other_workspace(mark, owner):
                for id in marked_regions(prediction.result):
                    boxes[id].append(f"prediction {prediction.id} of task {task.id}")
    busy = {
        id
        for image in pushed
        if image.tool_id in tasks and _is_busy(tasks[image.tool_id], image.version, rule)
        for id in image.region_ids
    }
    return OnOffer(dict(boxes), busy=frozenset(busy))


def _is_busy(task: DraftTask, version: str | None, rule: AnnotationRule) -> bool:
    """Whether somebody has started a task, or saved it since its boxes were pushed."""
    now = "+".join(annotation_version(a) for a in task.chosen(rule)) or None
    return now != version or any(not draft.is_untouched for draft in task.drafts)
