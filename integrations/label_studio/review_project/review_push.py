"""`push`: mined boxes into the review project, so that a second push changes nothing.

The review project is a copy of the annotated one, whose tasks hold the images with mined boxes: in
the annotated project itself they would become unreviewed truth.

What the server holds decides, not what an earlier call believed to have done: every push reads the
review project, works out what is missing, and makes that. A push that was cut off anywhere is
completed by running it again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

from sparsedet.annotations import Dataset
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import ToolError
from sparsedet.tool import Progress, PushReport, no_progress

from ..connection import WRITE, Connection, project_number
from ..predictions import (
    CHUNK,
    ImagePredictions,
    NewPrediction,
    StoredPrediction,
    build_predictions,
    check_push,
    check_tasks,
    delete_predictions,
    import_predictions,
    same_result,
)
from ..projects import HIDDEN_COLUMNS, find_or_add_view, read_config, show_version, task_data
from .review_tasks import SOURCE_TASK_KEY, ReviewTask, read_review_tasks

VIEW_TITLE = "By model score"
_MARK = "[sparsedet review of project {}]"
_TITLE_SUFFIX = " - sparsedet review"
_MAX_TITLE = 50
_STORAGES = {"s3": "s3", "gs": "gcs", "azure-blob": "azure"}
"""URI schemes that Label Studio resolves through a storage of the project that the task is in."""


def push_mined(
    connection: Connection,
    project: str,
    dataset: Dataset,
    mined: Sequence[MinedBox],
    *,
    model_version: str,
    progress: Progress = no_progress,
) -> PushReport:
    """Put mined boxes up for review in the review project of `project`.

    Every image with mined boxes is one task with one prediction, which holds its human and its
    mined boxes: Label Studio shows only one prediction at a time. A mined box is pushed once: what
    a submitted review was shown is not shown again, and boxes that are new on a reviewed image go
    up in a new task. An open task whose prediction of this `model_version` holds other boxes gets
    a new prediction.

    Raises:
        ToolError: before anything is sent, when a box can't be shown; later, when the server did
            not take all of it.
    """
    source = project_number(project)
    check_push(mined, model_version)
    config = read_config(connection, source)
    wanted = build_predictions(dataset, mined, config)
    data = _source_data(connection, source, wanted)
    review = find_or_create(connection, source)
    check_addresses(connection, review, (str(entry[config.data_key]) for entry in data.values()))

    progress("reading the review project", 0, 1)
    plan = _plan(wanted, read_review_tasks(connection, review), model_version)
    progress("reading the review project", 1, 1)
    if plan.without_task:
        _import_tasks(connection, review, plan.without_task, data, progress)
        plan = _plan(wanted, read_review_tasks(connection, review), model_version)
        if plan.without_task:
            raise ToolError(
                f"review project {review}: the server took only some of the tasks; push again"
            )
    delete_predictions(connection, plan.outdated)
    _import_predictions(connection, review, plan.missing, model_version, progress)
    if plan.images:  # else no prediction may exist, and the server refuses an unknown version
        show_predictions(connection, review, model_version)
    return PushReport(
        review_project=str(review),
        url=f"{connection.url}/projects/{review}",
        model_version=model_version,
        images=plan.images,
        boxes=plan.boxes,
        created=len(plan.missing),
    )


def find_or_create(connection: Connection, source: int) -> int:
    """Return the review project of the project `source`, made when there is none.

    It is known by a mark in its description; title and the rest of the description are people's.
    A labelling config that changed in the source is carried over.
    """
    with connection.request(f"looking for the review project of project {source}"):
        project = connection.client.projects.get(source)
        known = _find(connection, source)
        if known is not None:
            review, config = known
            if config != project.label_config:
                connection.client.projects.update(review, label_config=project.label_config)
            return review
        title = (project.title or f"Project {source}")[: _MAX_TITLE - len(_TITLE_SUFFIX)]
        created = connection.client.projects.create(
            title=title + _TITLE_SUFFIX,
            description=f"Boxes that a model found missing in {connection.url}/projects/{source}. "
            f"Delete the wrong ones, correct the others, Submit. {_MARK.format(source)}",
            label_config=project.label_config,
            request_options=WRITE,
        )
        if created.id is None:
            raise ToolError("Label Studio made a review project without giving its number")
        return created.id


def check_addresses(connection: Connection, review: int, addresses: Iterable[str]) -> None:
    """Check that images can resolve in the review project.

    Raises:
        ToolError: when they lie in a cloud storage that only the annotated project is connected to.
    """
    schemes = {urlsplit(address).scheme for address in addresses} & set(_STORAGES)
    for scheme in sorted(schemes):
        with connection.request(f"listing the storages of review project {review}"):
            storages = getattr(connection.client.import_storage, _STORAGES[scheme])
            connected = storages.list(project=review)
        if not connected:
            raise ToolError(
                f"the images are {scheme}:// addresses, which Label Studio resolves through the "
                "storages of the project that shows them: connect the storage to "
                f"{connection.url}/projects/{review}/settings/storage (no sync needed), push again"
            )


def show_predictions(connection: Connection, review: int, model_version: str) -> None:
    """Pre-fill tasks with the predictions of `model_version`, and offer a view ordered by score."""
    show_version(connection, review, model_version)
    hidden = [*HIDDEN_COLUMNS, f"tasks:data.{SOURCE_TASK_KEY}"]
    settings = {
        "ordering": ["-tasks:predictions_score"],
        "hiddenColumns": {"explore": hidden, "labeling": hidden},
    }
    find_or_add_view(connection, review, VIEW_TITLE, settings)


@dataclass(frozen=True, slots=True)
class _Missing:
    """A prediction to make on an open review task."""

    task: int
    prediction: ImagePredictions
    shown: frozenset[str]
    """Mined boxes that an earlier review has settled."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a push has to do, and what is up for review in the end."""

    without_task: tuple[ImagePredictions, ...]
    missing: tuple[_Missing, ...]
    outdated: tuple[StoredPrediction, ...]
    images: int
    boxes: int


def _plan(
    wanted: Iterable[ImagePredictions], tasks: Iterable[ReviewTask], model_version: str
) -> _Plan:
    """Compare what is wanted with what the server holds."""
    by_source: dict[str, list[ReviewTask]] = {}
    for task in tasks:
        by_source.setdefault(task.source_task, []).append(task)
    without_task: list[ImagePredictions] = []
    missing: list[_Missing] = []
    outdated: list[StoredPrediction] = []
    images = boxes = 0
    for prediction in wanted:
        known = by_source.get(prediction.source_task, [])
        shown = frozenset(chain.from_iterable(task.shown_ids for task in known))
        if not (left := prediction.mined.keys() - shown):
            continue
        images, boxes = images + 1, boxes + len(left)
        open_tasks = [task for task in known if task.review is None]
        if not open_tasks:
            without_task.append(prediction)
            continue
        task = open_tasks[0]
        result = prediction.result(left_out=shown)
        ours = [p for p in task.predictions if p.model_version == model_version]
        # There is more than one of ours when an import went through but its answer got lost.
        kept = next((p for p in ours if same_result(p.result, result)), None)
        outdated += [p for p in ours if p is not kept]
        if kept is None:
            missing.append(_Missing(task.id, prediction, shown))
    return _Plan(tuple(without_task), tuple(missing), tuple(outdated), images, boxes)


def _source_data(
    connection: Connection, source: int, wanted: Iterable[ImagePredictions]
) -> Mapping[str, Mapping[str, object]]:
    """Return the data of the annotated tasks that the pushed images come from, by task id."""
    ids = {prediction.source_task for prediction in wanted}
    data = {str(id): data for id, data in task_data(connection, source) if str(id) in ids}
    check_tasks(source, ids, data.keys())
    return data


def _import_tasks(
    connection: Connection,
    review: int,
    wanted: Sequence[ImagePredictions],
    data: Mapping[str, Mapping[str, object]],
    progress: Progress,
) -> None:
    """Copy tasks into the review project, surest image first: the label stream goes by task id."""
    from label_studio_sdk.types.import_api_request import ImportApiRequest

    for start in range(0, len(wanted), CHUNK):
        progress("creating review tasks", start, len(wanted))
        requests = [
            ImportApiRequest(
                data={**data[image.source_task], SOURCE_TASK_KEY: int(image.source_task)}
            )
            for image in wanted[start : start + CHUNK]
        ]
        with connection.request(f"creating tasks in review project {review}"):
            connection.client.projects.import_tasks(review, request=requests, request_options=WRITE)
    progress("creating review tasks", len(wanted), len(wanted))


def _import_predictions(
    connection: Connection,
    review: int,
    missing: Sequence[_Missing],
    model_version: str,
    progress: Progress,
) -> None:
    predictions = [
        NewPrediction(item.task, item.prediction.score, item.prediction.result(item.shown))
        for item in missing
    ]
    import_predictions(connection, review, predictions, model_version, progress)


def _find(connection: Connection, source: int) -> tuple[int, str | None] | None:
    """Return id and labelling config of the oldest review project of `source`."""
    wanted = _MARK.format(source)
    projects: Iterable[Any] = connection.client.projects.list(page_size=100)
    found = [
        (int(project.id), project.label_config)
        for project in projects
        if wanted in (project.description or "")
    ]
    return min(found, key=lambda known: known[0], default=None)
