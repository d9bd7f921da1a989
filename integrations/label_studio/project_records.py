"""Project records of the server: read, list, create, update.

Not through the SDK, whose objects are not validated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .client.answers import identifier, number, text
from .client.connection import Connection
from .client.pages import read_pages

_PAGE = 100


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    """A project record of the server."""

    number: int
    title: str
    description: str
    label_config: str
    instruction: str
    """Instruction shown to people before their first task."""
    model_version: str
    """Version of the predictions that pre-fill tasks; empty for none."""
    shows_predictions: bool
    tasks: int


def read_project(connection: Connection, project: int, what: str = "") -> ProjectRecord:
    """Read a project.

    Args:
        connection: to the server.
        project: the project's number.
        what: names the step; default: reading the project.
    """
    what = what or f"reading project {project}"
    return _record(connection.get_object(f"api/projects/{project}/", {}, what), what)


def list_projects(connection: Connection, what: str) -> list[ProjectRecord]:
    """Return all projects visible to the account; `what` names the step."""
    found = read_pages(
        connection, "api/projects/", {}, what, entries="results", total="count", page_size=_PAGE
    )
    return [_record(entry, what) for entry in found]


def create_project(connection: Connection, content: Mapping[str, Any], what: str) -> int:
    """Create a project; return its number."""
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
