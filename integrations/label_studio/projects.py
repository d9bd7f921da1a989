"""Queries about a project: labels, tasks, accounts."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sparsedet.tool import DEFAULT_OPTIONS, ProjectSummary, ToolOptions

from .annotation_choice import with_task_date
from .client.answers import (
    OddAnswerError,
    as_object,
    check_page,
    check_task,
    identifier,
    number,
    objects_of,
    shown,
    text,
)
from .client.connection import Connection, project_number
from .labelling_config.label_config import LabelConfig, parse_config
from .marks import check_source
from .project_records import read_project

TASK_LIST: Mapping[str, Any] = {
    "fields": "task_only",
    "resolve_uri": False,  # stored addresses, not links that expire
    # Otherwise, the server asks a project's ML backend for the predictions of all listed tasks.
    "review": True,
}
"""Parameters of every request that lists tasks."""

_PAGE = 5000
_IDS_PER_REQUEST = 200
"""Maximum ids per request: they are part of the URL, which servers limit to some kilobytes."""
_AFTER = {"filter": "filter:tasks:id", "operator": "greater", "type": "Number"}
_HAS_DRAFTS = {
    "filter": "filter:tasks:draft_exists",
    "operator": "equal",
    "type": "Boolean",
    "value": True,
}


def project_summary(
    connection: Connection, project: str, options: ToolOptions = DEFAULT_OPTIONS
) -> ProjectSummary:
    """Summarise a project without reading its tasks.

    Raises:
        ToolError: if it is itself a review project; see `Connection` and `parse_config`.
    """
    id = project_number(project)
    found = read_project(connection, id)
    check_source(connection, id, found.description)
    config = project_config(connection, id, found.label_config, options)
    return ProjectSummary(
        title=found.title,
        images=found.tasks,
        labels=tuple(label.value for label in config.labels),
        has_complete_control=bool(config.marks),
    )


def read_config(
    connection: Connection, project: int, options: ToolOptions = DEFAULT_OPTIONS
) -> LabelConfig:
    """Read a project's labelling config; see `parse_config`."""
    xml = read_project(connection, project).label_config
    return project_config(connection, project, xml, options)


def project_config(
    connection: Connection, project: int, xml: str, options: ToolOptions
) -> LabelConfig:
    """Parse a project's labelling config; see `parse_config`.

    Tasks are only read if labels come from their data.
    """

    def data() -> Iterator[Mapping[str, Any]]:
        return (content for _, content in task_data(connection, project))

    return parse_config(xml, str(project), options, data=data)


def read_source_config(
    connection: Connection, project: int, options: ToolOptions = DEFAULT_OPTIONS
) -> LabelConfig:
    """Read the labelling config of an annotated project.

    Raises:
        ToolError: if it is itself a review project; see also `parse_config`.
    """
    found = read_project(connection, project)
    check_source(connection, project, found.description)
    return project_config(connection, project, found.label_config, options)


@dataclass(frozen=True, slots=True)
class OddTask:
    """An entry of an export that is not a task with data and annotations."""

    id: int | None
    """None if it has no id either."""
    reason: str
    data: Mapping[str, Any] = field(default_factory=dict)
    """Empty if it has none."""


def export_tasks(
    connection: Connection,
    project: int,
    odd: list[OddTask] | None = None,
    *,
    ids: Sequence[int] | None = None,
    annotated: bool = False,
) -> Sequence[Mapping[str, Any]]:
    """Return tasks with their annotations from the JSON export, the fastest complete read.

    It takes 1 ms per task. Annotations include the date of their task; see `with_task_date`. The
    COCO export would leak server paths and ignore EXIF orientation.

    Args:
        connection: to the server.
        project: its number.
        odd: receives invalid entries, which are left out.
        ids: ids of the tasks, as many as fit into a URL; None for all.
        annotated: only tasks with annotations, including skipped ones.

    Raises:
        OddAnswerError: if the answer is not a list, or an entry is invalid and `odd` is None.
    """
    what = f"exporting project {project}"
    some = {} if ids is None else {"ids[]": list(ids)}
    answer = connection.get_json(
        f"api/projects/{project}/export",
        {"exportType": "JSON", "download_all_tasks": not annotated, **some},
        what,
    )
    if not isinstance(answer, list):
        raise OddAnswerError(what, f"it should be a list of tasks, but is {shown(answer)}")
    tasks: list[Mapping[str, Any]] = []
    seen: set[int] = set()
    for entry in answer:
        id = entry.get("id") if isinstance(entry, dict) else None
        of = f"{what}, task {id}" if type(id) is int else what
        try:
            check_task(as_object(entry, of, of="a task"), of)
            if entry["id"] in seen:
                raise OddAnswerError(of, "its id is that of another task")
        except OddAnswerError as error:
            if odd is None:
                raise
            data = entry.get("data") if isinstance(entry, dict) else None
            known = data if isinstance(data, dict) else {}
            odd.append(OddTask(id if type(id) is int else None, error.problem, known))
        else:
            seen.add(entry["id"])
            annotations = with_task_date(entry.get("annotations"), entry)
            tasks.append({**entry, "annotations": annotations})
    return tasks


def export_touched(connection: Connection, project: int) -> Mapping[int, Mapping[str, Any]]:
    """Return the tasks that somebody has worked on, by id, as `export_tasks` does.

    These have annotations (including skipped ones) or drafts of any account. Drafts are read first:
    one that is submitted meanwhile is then read as annotation.
    """
    what = f"looking for drafts in project {project}"
    listed = _listed(connection, project, what, "id", _HAS_DRAFTS)
    drafted = [identifier(task, what) for task in listed]
    touched: dict[int, Mapping[str, Any]] = {}
    for start in range(0, len(drafted), _IDS_PER_REQUEST):
        ids = drafted[start : start + _IDS_PER_REQUEST]
        touched |= _by_id(export_tasks(connection, project, ids=ids))
    return touched | _by_id(export_tasks(connection, project, annotated=True))


def task_data(connection: Connection, project: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield id and data of all tasks, without annotations (about 3,000 tasks per second).

    Invalid tasks are left out; a pull warns about them.
    """
    what = f"listing project {project}"
    for task in _listed(connection, project, what, "id,data"):
        if isinstance(task.get("data"), dict):
            yield identifier(task, what), task["data"]


def has_drafts(connection: Connection, project: int) -> bool:
    """Whether any task of the project has a draft, of any account."""
    what = f"looking for drafts in project {project}"
    first = next(_listed(connection, project, what, "id", _HAS_DRAFTS, page_size=1), None)
    return first is not None


def _listed(
    connection: Connection,
    project: int,
    what: str,
    include: str,
    condition: Mapping[str, Any] | None = None,
    page_size: int = _PAGE,
) -> Iterator[Mapping[str, Any]]:
    """Yield the tasks that match a condition by ascending id, only with the keys in `include`.

    A page starts after the last id of the one before: by number, pages would skip as many tasks as
    somebody deletes from earlier ones meanwhile, and skipped tasks look deleted.
    """
    last, left = 0, True
    while left:
        after = {**_AFTER, "value": last}
        items = [after] if condition is None else [after, condition]
        query = {
            "filters": {"conjunction": "and", "items": items},
            "ordering": ["tasks:id"],
        }
        params = {
            "project": project,
            **TASK_LIST,
            "include": include,
            "query": json.dumps(query),
            "page": 1,
            "page_size": page_size,
        }
        answer = connection.get_object("api/tasks/", params, what)
        tasks, total = objects_of(answer, "tasks", what), number(answer, "total", what)
        check_page(tasks, total, 0, what)
        ids = [identifier(task, what) for task in tasks]
        if ids and min(ids) <= last:
            raise OddAnswerError(
                what, f"task {min(ids)} twice, though those after it were asked for"
            )
        yield from tasks
        last, left = max(ids, default=last), total > len(tasks)


def _by_id(tasks: Iterable[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    return {int(task["id"]): task for task in tasks}


def review_state(connection: Connection, project: int) -> str:
    """Return a text that changes when an annotation of the project is saved, skipped or deleted.

    The server updates a task along with any of its annotations.
    """
    reviewed = [
        {
            "filter": f"filter:tasks:{count}_annotations",
            "operator": "greater",
            "type": "Number",
            "value": 0,
        }
        for count in ("total", "cancelled")
    ]
    query = {
        "filters": {"conjunction": "or", "items": reviewed},
        "ordering": ["-tasks:updated_at"],
    }
    params = {
        "project": project,
        **TASK_LIST,
        "query": json.dumps(query),
        "include": "id,updated_at",
        "page_size": 1,
    }
    what = f"looking for reviews in project {project}"
    answer = connection.get_object("api/tasks/", params, what)
    newest = next(
        (text(task, "updated_at", what) for task in objects_of(answer, "tasks", what)), ""
    )
    tasks, annotations = (number(answer, key, what) for key in ("total", "total_annotations"))
    return f"{tasks} tasks, {annotations} annotations, {newest}"


def account_names(connection: Connection) -> Mapping[int, str]:
    """Return the accounts' email addresses by id."""
    what = "listing the accounts"
    users = connection.get_objects("api/users/", {}, what)
    return {
        identifier(user, what): text(user, "email", what) for user in users if user.get("email")
    }


def saved_by(annotation: Mapping[str, Any], names: Mapping[int, str]) -> str | None:
    """Return who last changed an annotation; None if unknown.

    Args:
        annotation: as sent by the server.
        names: from `account_names`.
    """
    person = annotation.get("updated_by") or annotation.get("completed_by")
    if isinstance(person, Mapping):
        person = person.get("id")
    if person is None:
        return None
    return names.get(person, str(person)) if isinstance(person, int) else str(person)
