"""What is asked of any project: labels, tasks, accounts, and how it shows tasks to reviewers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sparsedet.errors import ToolError
from sparsedet.tool import ProjectSummary

from .connection import Connection, project_number
from .label_config import LabelConfig, parse_config

_PAGE = 5000
HIDDEN_COLUMNS = [
    "tasks:inner_id",
    "tasks:annotations_results",
    "tasks:annotations_ids",
    "tasks:predictions_results",
    "tasks:avg_lead_time",
    "tasks:draft_exists",
    "tasks:file_upload",
    "tasks:storage_filename",
    "tasks:created_at",
    "tasks:updated_at",
    "tasks:updated_by",
]
"""A view shows what matters to a reviewer: the image, its score, who reviewed it and when."""

_DEFAULT_TITLE = "Default"


def project_summary(
    connection: Connection, project: str, *, complete_control: str | None = None
) -> ProjectSummary:
    """Look at a project without reading its tasks.

    Raises:
        ToolError: see `Connection` and `parse_config`.
    """
    number = project_number(project)
    with connection.request(f"reading project {number}"):
        found = connection.client.projects.get(number)
    config = parse_config(found.label_config or "", str(number), complete_control=complete_control)
    return ProjectSummary(
        title=found.title or "",
        images=found.task_number or 0,
        labels=tuple(label.value for label in config.labels),
        has_complete_control=config.complete is not None,
    )


def read_config(
    connection: Connection, project: int, complete_control: str | None = None
) -> LabelConfig:
    """Read a project's labelling config; see `parse_config`."""
    with connection.request(f"reading project {project}"):
        xml = connection.client.projects.get(project).label_config
    return parse_config(xml or "", str(project), complete_control=complete_control)


def export_tasks(connection: Connection, project: int) -> Sequence[Mapping[str, Any]]:
    """Return all tasks with their annotations: the JSON export, the fastest complete read.

    The COCO export would leak server paths and ignore EXIF orientation.
    """
    tasks = connection.get_json(
        f"api/projects/{project}/export",
        {"exportType": "JSON", "download_all_tasks": True},
        f"exporting project {project}",
    )
    if not isinstance(tasks, list):
        raise ToolError(f"project {project}: the server's export is no list of tasks")
    return tasks


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


def show_version(connection: Connection, project: int, model_version: str) -> None:
    """Pre-fill tasks with the predictions of `model_version`.

    Nothing shows in the label stream without both settings; the version must exist by then.
    """
    with connection.request(f"setting up project {project}"):
        known = connection.client.projects.get(project)
        if known.model_version != model_version or not known.show_collab_predictions:
            connection.client.projects.update(
                project, model_version=model_version, show_collab_predictions=True
            )


def find_or_add_view(
    connection: Connection,
    project: int,
    title: str,
    settings: Mapping[str, Any],
    *,
    keep_default: bool = False,
) -> int:
    """Return the id of the project's view of this title, made when there is none.

    Args:
        connection: to the server.
        project: the project's number.
        title: what the view is known by; whatever people changed in it stays.
        settings: `ordering`, `filters` and the like of a new view.
        keep_default: keep the project's list of all tasks. Label Studio shows it by itself only as
            long as a project has no view at all.
    """
    with connection.request(f"listing the views of project {project}"):
        titles = {
            str(view.data.get("title")): int(view.id)
            for view in connection.client.views.list(project=project)
            if isinstance(view.data, Mapping)
        }
    if title in titles:
        return titles[title]
    if keep_default and not titles:
        _add(connection, project, _DEFAULT_TITLE, {})
    return _add(connection, project, title, settings)


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


def _add(connection: Connection, project: int, title: str, settings: Mapping[str, Any]) -> int:
    view = {"title": title, "type": "list", "target": "tasks", **settings}
    body = {"project": project, "data": view}
    answer = connection.post_json("api/dm/views/", body, f"adding a view to project {project}")
    return int(answer["id"])
