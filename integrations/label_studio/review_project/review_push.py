"""`push`: idempotent push of images and mined boxes to the review project.

The review project has copies of the annotated tasks to review: in the annotated project itself,
mined boxes would count as annotations without a review.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from sparsedet.errors import ToolError
from sparsedet.push_modes import Progress, PushReport

from ..client.connection import Connection
from ..images.addresses import shows_another
from ..labelling_config.label_config import LabelConfig
from ..offers import GONE, ImagePredictions
from ..predictions import CHUNK, delete_predictions, import_predictions
from ..projects import export_touched, task_data
from ..task_images import image_key, images_of
from ..views import hide_versions, show_version
from .review_plan import ReviewPlan, plan_push, vanishing_versions
from .review_setup import check_addresses, show_queue
from .review_tabs import KEYS, Facts
from .review_tasks import (
    SOURCE_TASK_KEY,
    VERSION_KEY,
    ReviewTask,
    change_data,
    read_review_tasks,
)

_AT_A_TIME = 1000
"""Predictions to delete, which takes about ten seconds, before looking again who is at work."""
_UNTOUCHED = {
    "conjunction": "and",
    "items": [
        {
            "filter": f"filter:tasks:{column}",
            "operator": "equal",
            "type": "Number",
            "value": 0,
        }
        for column in ("total_annotations", "cancelled_annotations")
    ],
}
"""Filter that the server checks at the time of deletion."""


def source_data(
    connection: Connection, source: int, files: Mapping[str, str], config: LabelConfig
) -> Mapping[str, Mapping[str, object]]:
    """Return the data of the annotated tasks that the pushed images come from, by tool id.

    Deleted and replaced images are missing. The address of an image is under the key from which its
    review task shows it.

    Args:
        connection: to the server.
        source: number of the annotated project.
        files: tool id -> file name of the image as it was pulled.
        config: the annotated project's labelling config.
    """
    found: dict[str, Mapping[str, object]] = {}
    for id, data in task_data(connection, source):
        for image in images_of({"id": id, "data": data}, config):
            file = files.get(image.tool_id)
            address = config.of_image(image.number).find_address(data)
            if file and not shows_another(file, image.id, address):
                found[image.tool_id] = {**data, config.data_key: address}
    return found


def push_to_review(
    connection: Connection,
    review: int,
    wanted: Sequence[ImagePredictions],
    data: Mapping[str, Mapping[str, object]],
    *,
    data_key: str,
    model_version: str,
    withdrawn: Collection[str],
    facts: Facts,
    progress: Progress,
) -> PushReport:
    """Put images up for review in a review project, with their mined boxes.

    Every image is one task with one prediction, which contains its human and mined boxes: Label
    Studio shows only one prediction at a time. Without either there is no prediction. A mined box
    is pushed once: what a submitted review was shown is not shown again, and boxes that are new on
    a reviewed image go up in a new task.

    Args:
        connection: to the server.
        review: number of the review project.
        wanted: what should be up for review, in order.
        data: from `source_data`; missing images are skipped.
        data_key: key of the image's address in the data.
        model_version: name of the predictions.
        withdrawn: ids of boxes that should no longer be up.
        facts: figures about images for the tasks' data, by annotated task.
        progress: called for tasks and predictions.

    Raises:
        ToolError: before anything is sent, if images can't be shown; later, if the server did not
            accept everything.
    """
    there = [image for image in wanted if image.source_task in data]
    check_addresses(connection, review, (str(entry[data_key]) for entry in data.values()))
    progress("reading the review project", 0, 1)
    tasks = read_review_tasks(connection, review)
    plan = plan_push(there, tasks, withdrawn, model_version)
    progress("reading the review project", 1, 1)
    if plan.without_task:
        described = {id: {**content, **facts.get(id, {})} for id, content in data.items()}
        imported = _import_tasks(connection, review, plan, described, model_version, progress)
        made = {image.source_task for image in plan.without_task}
        # Listing them takes the server as long as creating them.
        tasks = [*tasks, *imported] if imported else read_review_tasks(connection, review)
        plan = plan_push(there, tasks, withdrawn, model_version)
        plan.changed |= made
        if plan.without_task:
            raise ToolError(
                f"review project {review}: the server accepted only some of the tasks; push again"
            )
    if model_version not in plan.versions:  # the server refuses to show one without predictions
        hide_versions(connection, review, vanishing_versions(tasks, plan))
    apply_plan(connection, review, plan, progress)
    _update_facts(connection, tasks, plan, facts, progress)
    if model_version in plan.versions:
        show_version(connection, review, model_version)
    if model_version in plan.versions or plan.images:
        show_queue(connection, review, facts)
    return push_report(connection, review, plan, wanted, data, model_version)


def push_report(
    connection: Connection,
    review: int | None,
    plan: ReviewPlan,
    wanted: Iterable[ImagePredictions],
    data: Collection[str],
    model_version: str,
) -> PushReport:
    """Return the report of a plan, executed or not."""
    gone = frozenset(image.source_task for image in wanted) - set(data)
    return PushReport(
        review_project="" if review is None else str(review),
        url="" if review is None else f"{connection.url}/projects/{review}",
        model_version=model_version,
        images=plan.images,
        boxes=plan.boxes,
        created=len(plan.changed | {image.source_task for image in plan.without_task}),
        deleted=len(plan.outdated) + len(plan.empty),
        skipped={**plan.kept, **dict.fromkeys(sorted(gone), GONE)},
        gone=gone,
    )


def apply_plan(connection: Connection, review: int, plan: ReviewPlan, progress: Progress) -> None:
    """Create new predictions, then delete replaced ones and tasks that become empty."""
    import_predictions(connection, review, plan.new, progress)
    for task, version in plan.noted:
        what = f"noting the model version on review task {task.id}"
        data = {**task.data, VERSION_KEY: version}
        change_data(connection, task.id, data, what)
    _delete_outdated(connection, review, plan, progress)
    if plan.empty:
        # Check again: without its prediction, a review of a task can't be submitted.
        tasks = {task.id: task for task in read_review_tasks(connection, review)}
        empty = [id for id in plan.empty if id in tasks and tasks[id].is_untouched]
        _delete_tasks(connection, review, empty, progress)


def _delete_outdated(
    connection: Connection, review: int, plan: ReviewPlan, progress: Progress
) -> None:
    """Delete outdated predictions, except on tasks that somebody has begun or reviewed meanwhile.

    The server refuses a review whose prediction is gone, and a submitted one would lose what its
    reviewer saw and rejected. The next push deletes them.
    """
    for start in range(0, len(plan.outdated), _AT_A_TIME):
        some = plan.outdated[start : start + _AT_A_TIME]
        touched = export_touched(connection, review)
        busy = {
            id
            for id, task in touched.items()
            if task.get("drafts") or any(not a.get("was_cancelled") for a in task["annotations"])
        }
        idle = [p for p in some if plan.task_of[p.id] not in busy]

        def shown(what: str, done: int, total: int, start: int = start) -> None:
            progress(what, start + done, len(plan.outdated))

        delete_predictions(connection, idle, shown)


def _update_facts(
    connection: Connection,
    tasks: Iterable[ReviewTask],
    plan: ReviewPlan,
    facts: Facts,
    progress: Progress,
) -> None:
    """Update the figures in the data of open tasks to this push, removing older ones.

    An image now shown without its boxes then looks like one that never had any.
    """
    gone, versions = set(plan.empty), {task.id: version for task, version in plan.noted}
    outdated = [
        (task, new)
        for task in tasks
        if task.is_open and task.id not in gone and not task.drafts
        for new in (facts.get(task.source_task),)
        if new is not None and {k: v for k, v in task.data.items() if k in KEYS} != new
    ]
    for done, (task, new) in enumerate(outdated):
        progress("noting what tasks show", done, len(outdated))
        noted = {VERSION_KEY: versions[task.id]} if task.id in versions else {}
        others = {key: value for key, value in task.data.items() if key not in KEYS}
        data = {**others, **new, **noted}
        what = f"noting what review task {task.id} shows"
        change_data(connection, task.id, data, what)


def _delete_tasks(
    connection: Connection, review: int, tasks: Sequence[int], progress: Progress
) -> None:
    """Delete tasks.

    The last one is deleted separately: if a bulk deletion includes all tasks of a project, the
    server deletes the project's views too.
    """
    what = f"deleting tasks of review project {review} on which nothing is left to review"
    if not tasks:
        return
    *most, last = tasks
    for start in range(0, len(most), CHUNK):
        progress("deleting empty review tasks", start, len(tasks))
        selected = {"all": False, "included": most[start : start + CHUNK]}
        body = {"selectedItems": selected, "filters": _UNTOUCHED}
        connection.post_json(f"api/dm/actions/?id=delete_tasks&project={review}", body, what)
    connection.delete(f"api/tasks/{last}/", what)
    progress("deleting empty review tasks", len(tasks), len(tasks))


def _import_tasks(
    connection: Connection,
    review: int,
    plan: ReviewPlan,
    data: Mapping[str, Mapping[str, object]],
    model_version: str,
    progress: Progress,
) -> list[ReviewTask]:
    """Copy tasks into the review project, in order: the label stream is ordered by task id.

    Returns:
        The new tasks; empty if the server does not return their ids, as when it imports in the
        background.
    """
    wanted = [image.source_task for image in plan.without_task]
    made: list[ReviewTask] = []
    for start in range(0, len(wanted), CHUNK):
        progress("creating review tasks", start, len(wanted))
        some = wanted[start : start + CHUNK]
        copies: list[dict[str, object]] = [
            {
                **data[source],
                SOURCE_TASK_KEY: image_key(source),
                **({VERSION_KEY: model_version} if source in plan.bare else {}),
            }
            for source in some
        ]
        what = f"creating tasks in review project {review}"
        path = f"api/projects/{review}/import?return_task_ids=true"
        answer = connection.post_json(path, [{"data": copy} for copy in copies], what)
        ids = _task_ids(answer)
        if len(ids) == len(some):
            new = zip(ids, some, copies, strict=True)
            made += [ReviewTask(id, source, (), (), (), copy) for id, source, copy in new]
    progress("creating review tasks", len(wanted), len(wanted))
    return made if len(made) == len(wanted) else []


def _task_ids(answer: Mapping[str, object]) -> list[int]:
    """Return the ids of imported tasks, in order; empty if they are invalid."""
    ids = answer.get("task_ids")
    if not isinstance(ids, list) or not all(type(id) is int and id > 0 for id in ids):
        return []
    return ids if len(set(ids)) == len(ids) else []
