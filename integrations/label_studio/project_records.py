"""Projects as the server's records of them: read, listed, made, changed.

Not through the SDK, whose objects hold whatever the server sends, of whatever type.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .answers import identifier, number, objects_of, text
from .connection import Connection

_PAGE = 100


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    """What the server says of a project."""

    number: int
    title: str
    description: str
    label_config: str
    instruction: str
    """What it shows to people before their first task."""
    model_version: str
    """Name of the predictions that tasks are filled with; empty: none are."""
    shows_predictions: bool
    tasks: int


def read_project(connection: Connection, project: int, what: str = "") -> ProjectRecord:
    """Read a project.

    Args:
        connection: to the server.
        project: its number.
        what: names the step; empty: the reading of the project.
    """
    what = what or f"reading project {project}"
    return _record(connection.get_object(f"api/projects/{project}/", {}, what), what)


def list_projects(connection: Connection, what: str) -> Iterator[ProjectRecord]:
    """Yield all projects that the account sees; `what` names the step."""
    page, seen, total = 0, 0, 1
    while seen < total:
        page += 1
        where = {"page": page, "page_size": _PAGE}
        answer = connection.get_object("api/projects/", where, what)
        found, total = objects_of(answer, "results", what), number(answer, "count", what)
        for entry in found:
            yield _record(entry, what)
        seen += len(found)
        if not found:  # projects are being deleted while we read
            return


def create_project(connection: Connection, content: Mapping[str, Any], what: str) -> int:
    """Make a project; return its number."""
    return identifier(connection.post_json("api/projects/", dict(content), what), what)


def update_project(
    connection: Connection, project: int, changes: Mapping[str, Any], what: str
) -> None:
    """Change a project's record."""
    connection.patch_json(f"api/projects/{project}/", dict(changes), what)


def _record(entry: Mapping[str, Any], what: str) -> ProjectRecord:
    return ProjectRecord(
        number=identifier(entry, what),
        title=text(entry, "title", what),
        description=text(entry, "description", what),
        label_config=text(entry, "label_config", what),
        instruction=text(entry, "expert_instruction", what),
        model_version=text(entry, "model_version", what),
        shows_predictions=bool(entry.get("show_collab_predictions")),
        tasks=0 if entry.get("task_number") is None else number(entry, "task_number", what),
    )
