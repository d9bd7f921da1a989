"""The tasks of a project that a workspace works on, where that is not all of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparsedet.errors import ToolError
from sparsedet.tool import Choice

from .config_xml import listed
from .connection import Connection

Task = Mapping[str, Any]

_PAGE = 5000


@dataclass(frozen=True, slots=True)
class ChosenTasks:
    """The tasks of a project, parted."""

    tasks: Sequence[Task]
    """Those that are worked on."""
    others: Sequence[Task]
    """The project has them all the same."""


def chosen_tasks(
    connection: Connection, project: int, tasks: Iterable[Task], choice: Choice
) -> ChosenTasks:
    """Part the tasks of a project by what a workspace works on.

    The server can't export a view: its ids are listed, and the export is parted by them.

    Raises:
        ToolError: when the project does not have the view.
    """
    shown = None if choice.view is None else _in_view(connection, project, choice.view)
    parted: tuple[list[Task], list[Task]] = ([], [])
    for task in tasks:
        is_out = shown is not None and int(task["id"]) not in shown
        is_out = is_out or (choice.skip_skipped and _is_skipped(task))
        parted[is_out].append(task)
    return ChosenTasks(*parted)


def _is_skipped(task: Task) -> bool:
    """Whether people have done nothing but skip a task."""
    annotations = task.get("annotations") or []
    return bool(annotations) and all(entry.get("was_cancelled") for entry in annotations)


def _in_view(connection: Connection, project: int, view: int) -> frozenset[int]:
    """Return the ids of the tasks that a view shows."""
    with connection.request(f"listing the views of project {project}"):
        views = {
            int(found.id): str(found.data.get("title"))
            for found in connection.client.views.list(project=project)
            if isinstance(found.data, Mapping)
        }
    if view not in views:
        known = listed(f"{number}: {title}" for number, title in views.items()) or "none"
        raise ToolError(
            f"project {project} has no view {view} (found {known}); a view's number is what its "
            "address has behind ?tab="
        )
    ids: set[int] = set()
    page, total = 0, 1
    while page * _PAGE < total:
        page += 1
        params = {
            "project": project,
            "view": view,
            "fields": "task_only",
            "include": "id",
            "resolve_uri": False,
            "page": page,
            "page_size": _PAGE,
        }
        answer = connection.get_json("api/tasks/", params, f"listing view {view}")
        total = answer["total"]
        ids.update(int(task["id"]) for task in answer["tasks"])
    return frozenset(ids)
