"""Data Manager views: lists of tasks that a reviewer works through."""

from collections.abc import Mapping
from typing import Any

from .connection import Connection

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
        keep_default: the project's list of all tasks must stay beside the new view. Label Studio
            shows it of itself only as long as a project has no view at all.
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


def _add(connection: Connection, project: int, title: str, settings: Mapping[str, Any]) -> int:
    view = {"title": title, "type": "list", "target": "tasks", **settings}
    body = {"project": project, "data": view}
    answer = connection.post_json("api/dm/views/", body, f"adding a view to project {project}")
    return int(answer["id"])
