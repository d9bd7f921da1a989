"""What is asked of any project: labels, tasks, accounts."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sparsedet.errors import ToolError
from sparsedet.tool import DEFAULT_OPTIONS, ProjectSummary, ToolOptions

from .annotation_choice import with_task_date
from .connection import Connection, project_number
from .label_config import LabelConfig, parse_config
from .marks import check_source

_PAGE = 5000


def project_summary(
    connection: Connection, project: str, options: ToolOptions = DEFAULT_OPTIONS
) -> ProjectSummary:
    """Look at a project without reading its tasks.

    Raises:
        ToolError: when it is itself a review project; see `Connection` and `parse_config`.
    """
    number = project_number(project)
    with connection.request(f"reading project {number}"):
        found = connection.client.projects.get(number)
    check_source(connection, number, found.description)
    config = parse_config(found.label_config or "", str(number), options)
    return ProjectSummary(
        title=found.title or "",
        images=found.task_number or 0,
        labels=tuple(label.value for label in config.labels),
        has_complete_control=config.complete is not None,
    )


def read_config(
    connection: Connection, project: int, options: ToolOptions = DEFAULT_OPTIONS
) -> LabelConfig:
    """Read a project's labelling config; see `parse_config`."""
    with connection.request(f"reading project {project}"):
        xml = connection.client.projects.get(project).label_config
    return parse_config(xml or "", str(project), options)


def read_source_config(
    connection: Connection, project: int, options: ToolOptions = DEFAULT_OPTIONS
) -> LabelConfig:
    """Read the labelling config of an annotated project.

    Raises:
        ToolError: when it is itself a review project, or see `parse_config`.
    """
    with connection.request(f"reading project {project}"):
        found = connection.client.projects.get(project)
    check_source(connection, project, found.description)
    return parse_config(found.label_config or "", str(project), options)


def export_tasks(connection: Connection, project: int) -> Sequence[Mapping[str, Any]]:
    """Return all tasks with their annotations: the JSON export, the fastest complete read.

    Annotations come with the date of their task; see `with_task_date`. The COCO export would leak
    server paths and ignore EXIF orientation.
    """
    tasks = connection.get_json(
        f"api/projects/{project}/export",
        {"exportType": "JSON", "download_all_tasks": True},
        f"exporting project {project}",
    )
    if not isinstance(tasks, list):
        raise ToolError(f"project {project}: the server's export is no list of tasks")
    return [
        {**task, "annotations": with_task_date(task.get("annotations"), task)} for task in tasks
    ]


def task_data(connection: Connection, project: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield id and data of all tasks, without annotations (about 3,000 tasks per second)."""
    page, done, total = 0, 0, 1
    while done < total:
        page += 1
        params = {
            "project": project,
            "fields": "task_only",
            "include": "id,data",
            "resolve_uri": False,  # addresses as they are, not links that expire
            "page": page,
            "page_size": _PAGE,
        }
        answer = connection.get_json("api/tasks/", params, f"listing project {project}")
        total = answer["total"]
        # An empty page would mean that tasks are being deleted while we read.
        if not answer["tasks"]:
            return
        for task in answer["tasks"]:
            yield int(task["id"]), task["data"]
        done += len(answer["tasks"])


def review_state(connection: Connection, project: int) -> str:
    """Return a text that changes when an annotation of the project is saved, skipped or deleted.

    The server saves a task along with any of its annotations.
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
        "query": json.dumps(query),
        "fields": "task_only",
        "include": "id,updated_at",
        "page_size": 1,
    }
    what = f"looking for reviews in project {project}"
    answer = connection.get_json("api/tasks/", params, what)
    newest = next((task["updated_at"] for task in answer["tasks"]), "")
    return f"{answer['total']} tasks, {answer['total_annotations']} annotations, {newest}"


def account_names(connection: Connection) -> Mapping[int, str]:
    """Return the accounts' mail addresses by number."""
    with connection.request("listing the accounts"):
        return {
            int(user.id): user.email
            for user in connection.client.users.list()
            if user.id is not None and user.email
        }


def saved_by(annotation: Mapping[str, Any], names: Mapping[int, str]) -> str | None:
    """Return who an annotation belongs to: the person who changed it last; None if unknown.

    Args:
        annotation: as the server holds it.
        names: from `account_names`.
    """
    person = annotation.get("updated_by") or annotation.get("completed_by")
    return None if person is None else names.get(int(person), str(person))
