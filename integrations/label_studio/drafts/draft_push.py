"""`push --mode draft`: mined boxes as drafts on the annotations themselves.

As in `review_push`, what the server holds decides: every push reads it and makes what is missing,
and a push that was cut off is completed by running it again. On tasks that nobody has annotated, a
prediction holds the mined boxes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparsedet.annotations import Dataset
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.tool import Progress, PushReport, no_progress

from ..connection import Connection, project_number
from ..predictions import (
    ImagePredictions,
    NewPrediction,
    StoredPrediction,
    build_predictions,
    check_push,
    check_tasks,
    delete_predictions,
    import_predictions,
    read_predictions,
    same_result,
)
from ..projects import HIDDEN_COLUMNS, find_or_add_view, read_config, show_version
from ..regions import annotation_version
from .draft_tasks import (
    Account,
    Draft,
    DraftTask,
    is_signed,
    read_account,
    read_draft_tasks,
    region_ids,
    signed,
)

VIEW_TITLE = "Mined boxes"
CHANGED = "annotated since the pull; pull and mine again"
OWN_DRAFT = "has a draft of its own; save or discard it and push again"
_COLUMNS = [column for column in HIDDEN_COLUMNS if column != "tasks:draft_exists"]
_VIEW = {
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


def push_drafts(
    connection: Connection,
    project: str,
    dataset: Dataset,
    mined: Sequence[MinedBox],
    *,
    model_version: str,
    progress: Progress = no_progress,
) -> PushReport:
    """Put mined boxes up for review as drafts, which only the account of the API key sees.

    A draft holds the annotation's results as they are, and the mined boxes. It lies on the
    account's own newest annotation of the task that was not skipped, else on the newest of anybody.
    Our own draft that nobody touched is brought up to date; what it offered stays on offer, because
    a box that a saved annotation lacks counts as rejected. A box that is in the annotation already
    is left out.

    A task without annotation gets a prediction, which the project is set to show. Where the
    project shows the predictions of another model, it keeps doing so and the task is skipped; so
    are tasks whose annotation changed since the pull, and tasks with a draft of a person.

    Args:
        connection: its account is the reviewer.
        project: the annotated project.
        dataset: what was pulled from it and mined on.
        mined: the boxes.
        model_version: name of the predictions; drafts have none.
        progress: called for every draft.

    Raises:
        ToolError: before anything is sent, when a box can't be shown; later, when the server
            refuses a request.
    """
    number = project_number(project)
    check_push(mined, model_version)
    config = read_config(connection, number)
    settled = {box.tool_id for box in dataset.boxes}
    left = [box for box in mined if box.region_id not in settled]
    wanted = build_predictions(dataset.with_boxes(()), left, config)

    progress("reading the annotations", 0, 1)
    account = read_account(connection)
    tasks = read_draft_tasks(connection, number)
    progress("reading the annotations", 1, 1)
    check_tasks(number, {image.source_task for image in wanted}, tasks.keys())
    versions = {image.tool_id: image.tool_version for image in dataset.images}
    skipped: dict[str, str] = {}
    drafts: list[_WantedDraft] = []
    unannotated: list[ImagePredictions] = []
    for image in wanted:
        task = tasks[image.source_task]
        target = task.target(account)
        if reason := _obstacle(task, target, versions[image.source_task], account):
            skipped[image.source_task] = reason
        elif target is None:
            unannotated.append(image)
        elif draft := _wanted_draft(task, target, image, account):
            drafts.append(draft)

    missing = [draft for draft in drafts if not draft.exists]
    late = _send(connection, missing, progress)
    predicted = _push_predictions(connection, number, unannotated, model_version, progress)
    skipped |= late | predicted.skipped
    up = [draft.image for draft in drafts] + unannotated
    up = [image for image in up if image.source_task not in skipped]
    return PushReport(
        review_project=project,
        url=_url(connection, number, with_view=bool(up)),
        model_version=model_version,
        images=len(up),
        boxes=sum(len(image.mined) for image in up),
        created=len(missing) - len(late) + predicted.created,
        skipped=skipped,
    )


@dataclass(frozen=True, slots=True)
class _WantedDraft:
    """A draft that an annotation should have."""

    image: ImagePredictions
    task: int
    annotation: Mapping[str, Any]
    result: Sequence[Any]
    old: Draft | None
    """Our own draft on the task, untouched; to be replaced."""

    @property
    def exists(self) -> bool:
        """Whether the server holds it."""
        old = self.old
        return (
            old is not None
            and old.annotation == self.annotation["id"]
            and old.result == self.result
        )


def _obstacle(
    task: DraftTask, target: Mapping[str, Any] | None, version: str | None, account: Account
) -> str | None:
    """Return why no mined boxes can be pushed on the task; None when they can."""
    if task.version != version:
        return CHANGED
    if not all(draft.is_untouched for draft in task.drafts_of(account)):
        return OWN_DRAFT
    for draft in task.drafts:
        if draft.user != account.email and target and draft.annotation == target["id"]:
            return f"has a draft of {draft.user}, which is lost when the annotation is saved"
    return None


def _wanted_draft(
    task: DraftTask, target: Mapping[str, Any], image: ImagePredictions, account: Account
) -> _WantedDraft | None:
    """Return the draft that the task should have; None when the annotation has all its boxes."""
    old = next(iter(task.drafts_of(account)), None)
    drawn = target["result"] if isinstance(target["result"], list) else []
    there = region_ids(drawn)
    offered = {**(old.mined if old else {}), **image.mined}
    mined = [region for id, region in offered.items() if id not in there]
    if not mined:
        return None
    mined.sort(key=lambda region: (-region["score"], region["id"]))
    return _WantedDraft(image, task.id, target, signed(drawn, mined), old)


def _send(
    connection: Connection, drafts: Sequence[_WantedDraft], progress: Progress
) -> dict[str, str]:
    """Make or replace drafts; return task -> reason where somebody else was faster."""
    skipped: dict[str, str] = {}
    for done, draft in enumerate(drafts):
        progress("pushing drafts", done, len(drafts))
        what = f"writing a draft on task {draft.task}"
        annotation = draft.annotation["id"]
        now = connection.get_json(f"api/annotations/{annotation}/", {}, what)
        if annotation_version(now) != annotation_version(draft.annotation):
            skipped[str(draft.task)] = CHANGED
            continue
        body: dict[str, Any] = {"result": draft.result, "lead_time": 0}
        if draft.old is None:
            path = f"api/tasks/{draft.task}/annotations/{annotation}/drafts"
            connection.post_json(path, body, what)
            continue
        path = f"api/drafts/{draft.old.id}/"
        if not is_signed(connection.get_json(path, {}, what)["result"]):
            skipped[str(draft.task)] = OWN_DRAFT
            continue
        connection.patch_json(path, {**body, "annotation": annotation}, what)
    progress("pushing drafts", len(drafts), len(drafts))
    return skipped


@dataclass(frozen=True, slots=True)
class _Predicted:
    """What became of the tasks without annotation."""

    created: int
    """Predictions that are new."""
    skipped: dict[str, str]
    """Task -> why it got none."""


def _push_predictions(
    connection: Connection,
    project: int,
    wanted: Sequence[ImagePredictions],
    model_version: str,
    progress: Progress,
) -> _Predicted:
    """Make the predictions that are missing on tasks without annotation, and have them shown.

    Our own of the same model version with other boxes are replaced. Where the project shows the
    predictions of another model, nothing is changed and all are skipped.
    """
    if not wanted:
        return _Predicted(0, {})
    stored = read_predictions(connection, project)
    if other := _other_model(connection, project, stored, model_version):
        reason = (
            f"has no annotation, and the project shows the predictions of {other!r}; change that "
            "under Settings > Annotation and push again"
        )
        return _Predicted(0, {image.source_task: reason for image in wanted})
    missing: list[NewPrediction] = []
    outdated: list[StoredPrediction] = []
    for image in wanted:
        result = signed([], image.result())
        ours = [
            prediction
            for prediction in stored.get(int(image.source_task), ())
            if prediction.model_version == model_version and is_signed(prediction.result)
        ]
        kept = next((p for p in ours if same_result(p.result, result)), None)
        outdated += [prediction for prediction in ours if prediction is not kept]
        if kept is None:
            missing.append(NewPrediction(int(image.source_task), image.score, result))
    delete_predictions(connection, outdated)
    import_predictions(connection, project, missing, model_version, progress)
    show_version(connection, project, model_version)
    return _Predicted(len(missing), {})


def _other_model(
    connection: Connection,
    project: int,
    stored: Mapping[int, Sequence[StoredPrediction]],
    model_version: str,
) -> str | None:
    """Return the model whose predictions the project shows, unless it is one of ours or none."""
    with connection.request(f"reading project {project}"):
        shown = connection.client.projects.get(project).model_version
    if not shown or shown == model_version:
        return None
    known = [p for predictions in stored.values() for p in predictions if p.model_version == shown]
    # A model without predictions yet is one that the server asks when somebody opens a task.
    return None if known and all(is_signed(p.result) for p in known) else shown


def _url(connection: Connection, project: int, *, with_view: bool) -> str:
    page = f"{connection.url}/projects/{project}/data"
    if not with_view:
        return page
    view = find_or_add_view(connection, project, VIEW_TITLE, _VIEW, keep_default=True)
    return f"{page}?tab={view}"
