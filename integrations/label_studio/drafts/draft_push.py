"""`push --mode draft`: mined boxes as drafts on the annotations themselves.

As in `review_push`, the server's state decides: every push reads it and creates what is missing, so
an interrupted push is completed by repeating it. On unannotated tasks, a prediction holds the mined
boxes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparsedet.push_modes import Progress

from ..client.answers import identifier
from ..client.connection import Connection
from ..client.request_errors import RequestRefusedError
from ..offers import GONE, ImagePredictions
from ..predictions import Replacement, StoredPrediction, delete_predictions, import_predictions
from ..project_records import read_project
from ..views import HIDDEN_COLUMNS, find_or_add_view, show_version
from .draft_plan import CHANGED, OWN_DRAFT, WantedDraft
from .draft_tasks import (
    Draft,
    DraftTask,
    draft_seconds,
    is_hidden,
    is_signed,
    owner_of,
    read_draft_tasks,
    results_of,
)

VIEW_TITLE = "Mined boxes"
_COLUMNS = [column for column in HIDDEN_COLUMNS if column != "tasks:draft_exists"]
VIEW = {
    "hiddenColumns": {"explore": _COLUMNS, "labeling": _COLUMNS},
    "filters": {
        "conjunction": "or",
        "items": [
            {
                "filter": "filter:tasks:draft_exists",
                "operator": "equal",
                "type": "Boolean",
                "value": True,
            },
            {
                "filter": "filter:tasks:total_predictions",
                "operator": "greater",
                "type": "Number",
                "value": 0,
                "child_filter": {
                    "filter": "filter:tasks:total_annotations",
                    "operator": "equal",
                    "type": "Number",
                    "value": 0,
                },
            },
        ],
    },
}
"""Tasks with a draft, and tasks with a prediction and no annotation: reviewed ones drop out."""


def write_drafts(
    connection: Connection, drafts: Sequence[WantedDraft], progress: Progress
) -> dict[str, str]:
    """Create or replace drafts; return task -> reason for those that somebody else preceded.

    A save between our read and write does not delete the draft, which would then undo that save:
    such a draft is withdrawn.
    """
    skipped: dict[str, str] = {}
    for done, draft in enumerate(drafts):
        progress("pushing drafts", done, len(drafts))
        try:
            reason = _write_draft(connection, draft)
        except RequestRefusedError as error:
            if not error.is_not_found:
                raise
            reason = GONE  # deleted since the task was read
        if reason:
            skipped[str(draft.task)] = reason
    progress("pushing drafts", len(drafts), len(drafts))
    return skipped


def _write_draft(connection: Connection, draft: WantedDraft) -> str:
    """Create or replace a draft; return why not, or ""."""
    what = f"writing a draft on task {draft.task}"
    annotation = int(draft.annotation["id"])
    if not _is_as_read(connection, draft):
        return CHANGED
    seconds = draft_seconds(annotation, owner_of(draft.result))
    body: dict[str, Any] = {"result": draft.result, "lead_time": seconds}
    if draft.old is None:
        path = f"api/tasks/{draft.task}/annotations/{annotation}/drafts"
        written = identifier(connection.post_json(path, body, what), what)
    elif is_still_ours(connection, draft.task, draft.old.id):
        written = draft.old.id
        body["annotation"] = annotation
        connection.patch_json(f"api/drafts/{written}/", body, what)
    else:
        return OWN_DRAFT
    if not _is_as_read(connection, draft):
        _delete_draft(connection, draft.task, written)
        return CHANGED
    return ""


def delete_drafts(
    connection: Connection, drafts: Sequence[tuple[int, Draft]], progress: Progress
) -> int:
    """Delete our drafts, given with their tasks, unless somebody has touched them meanwhile.

    Returns:
        How many were deleted.
    """
    deleted = 0
    for done, (task, draft) in enumerate(drafts):
        progress("withdrawing drafts", done, len(drafts))
        deleted += _delete_draft(connection, task, draft.id)
    progress("withdrawing drafts", len(drafts), len(drafts))
    return deleted


def is_still_ours(connection: Connection, task: int, draft: int) -> bool:
    """Whether a draft currently exists and is untouched."""
    what = f"reading drafts of task {task}"
    try:
        drafts = connection.get_objects(f"api/tasks/{task}/drafts", {}, what)
    except RequestRefusedError as error:
        if error.is_not_found:  # so is its task
            return False
        raise
    return any(d.get("id") == draft and is_signed(d.get("result")) for d in drafts)


def _is_as_read(connection: Connection, draft: WantedDraft) -> bool:
    """Whether the annotation is unchanged since the draft was created from it."""
    what = f"reading the annotations of task {draft.task}"
    annotations = connection.get_objects(f"api/tasks/{draft.task}/annotations/", {}, what)
    now = next((a for a in annotations if a.get("id") == draft.annotation["id"]), None)
    return now is not None and results_of(now) == results_of(draft.annotation)


def _delete_draft(connection: Connection, task: int, draft: int) -> bool:
    if not is_still_ours(connection, task, draft):
        return False
    connection.delete(f"api/drafts/{draft}/", f"withdrawing a draft on task {task}")
    return True


def still_idle(
    connection: Connection, project: int, changes: Mapping[str, Replacement]
) -> dict[str, Replacement]:
    """Return the changes without those of tasks that somebody has begun since they were read.

    The server refuses an annotation whose prediction is gone.
    """
    tasks = read_draft_tasks(connection, project)
    return {
        id: change
        for id, change in changes.items()
        if id in tasks and not tasks[id].submitted and not tasks[id].level_drafts
    }


def apply_replacements(
    connection: Connection, project: int, changes: Sequence[Replacement], progress: Progress
) -> None:
    """Create new predictions, then delete those that they replace."""
    new = [change.new for change in changes if change.new is not None]
    import_predictions(connection, project, new, progress)
    outdated = [prediction for change in changes for prediction in change.outdated]
    delete_predictions(connection, outdated, progress)


@dataclass(frozen=True, slots=True)
class ShownModel:
    """The model whose predictions the annotated project shows, unless it is one of ours."""

    name: str

    def skip(self, images: Sequence[ImagePredictions]) -> dict[str, str]:
        """Return why images without annotation get no predictions."""
        reason = (
            f"has no annotation, and the project shows the predictions of {self.name!r}; change "
            "that under Settings > Annotation and push again"
        )
        return {image.source_task: reason for image in images}


def other_model(
    connection: Connection,
    project: int,
    stored: Mapping[int, Sequence[StoredPrediction]],
    model_version: str,
) -> ShownModel | None:
    """Return the model whose predictions the project shows, unless it is one of ours or none."""
    shown = read_project(connection, project).model_version
    if not shown or shown == model_version:
        return None
    known = [p for predictions in stored.values() for p in predictions if p.model_version == shown]
    # A model without predictions is a backend that the server asks when a task is opened.
    return None if known and all(is_signed(p.result) for p in known) else ShownModel(shown)


def hides_predictions(
    connection: Connection,
    project: int,
    tasks: Mapping[str, DraftTask],
    stored: Mapping[int, Sequence[StoredPrediction]],
) -> bool:
    """Whether the project, as it was before our predictions, hides predictions."""
    ours = [
        is_hidden(prediction.result)
        for task in tasks.values()
        for prediction in stored.get(task.id, ())
        if not task.submitted and is_signed(prediction.result)
    ]
    return any(ours) if ours else not read_project(connection, project).shows_predictions


def show_drafts(
    connection: Connection, project: int, model_version: str, *, predictions: bool
) -> None:
    """Show pending boxes: predictions of unannotated tasks, and a view of all of them."""
    if predictions:
        show_version(connection, project, model_version)
    find_or_add_view(connection, project, VIEW_TITLE, VIEW, keep_default=True)
