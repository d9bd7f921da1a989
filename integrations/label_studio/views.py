"""Presentation of tasks to reviewers: views, and the predictions that pre-fill tasks."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from .client.answers import identifier
from .client.connection import Connection
from .project_records import read_project, update_project

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
"""Columns that matter to reviewers: the image, its score, who reviewed it and when."""

_DEFAULT_TITLE = "Default"


def show_version(connection: Connection, project: int, model_version: str) -> None:
    """Pre-fill tasks with the predictions of `model_version`.

    The label stream shows nothing without both settings; the version must already exist.
    """
    what = f"setting up project {project}"
    known = read_project(connection, project, what)
    if known.model_version != model_version or not known.shows_predictions:
        changes = {"model_version": model_version, "show_collab_predictions": True}
        update_project(connection, project, changes, what)


def find_or_add_view(
    connection: Connection,
    project: int,
    title: str,
    settings: Mapping[str, Any],
    *,
    keep_default: bool = False,
) -> int:
    """Return the id of the project's view with this title and these settings, created if missing.

    Args:
        connection: to the server.
        project: the project's number.
        title: of the view.
        settings: `ordering`, `filters` etc. of a new view; see `is_view`
            for what of it identifies the view. People's other changes are kept.
        keep_default: keep the project's list of all tasks. Label Studio shows it automatically only
            while a project has no views.
    """
    found = find_view(connection, project, title, settings)
    if found is not None:
        return found
    if keep_default and not list_views(connection, project):
        _add(connection, project, _DEFAULT_TITLE, {})
    return _add(connection, project, title, settings)


def add_missing_views(
    connection: Connection, project: int, views: Mapping[str, Mapping[str, Any]]
) -> None:
    """Add the views whose titles the project lacks."""
    titles = _titles(connection, project)
    for title, settings in views.items():
        if title not in titles:
            _add(connection, project, title, settings)


def remove_views(
    connection: Connection,
    project: int,
    is_ours: Callable[[Mapping[str, Any]], bool],
    *,
    dry_run: bool,
) -> int:
    """Delete the views for whose data `is_ours` is true; return how many there were."""
    found = [id for id, data in list_views(connection, project) if is_ours(data)]
    for view in found if not dry_run else ():
        connection.delete(f"api/dm/views/{view}/", f"deleting a view of project {project}")
    return len(found)


def hide_versions(
    connection: Connection, project: int, versions: Collection[str], *, off: bool = False
) -> None:
    """Stop pre-filling tasks of a project that shows one of these versions.

    Call it before deleting predictions: a version without predictions would be requested from a
    backend.

    Args:
        connection: to the server.
        project: the project's number.
        versions: the versions to hide.
        off: whether to hide predictions altogether.
    """
    what = f"setting up project {project}"
    if read_project(connection, project, what).model_version in versions:
        changes = {"model_version": ""} | ({"show_collab_predictions": False} if off else {})
        update_project(connection, project, changes, what)


def find_view(
    connection: Connection, project: int, title: str, settings: Mapping[str, Any]
) -> int | None:
    """Return the id of the project's view with this title and these settings, or None."""
    views = list_views(connection, project)
    return next((id for id, data in views if is_view(data, title, settings)), None)


def is_view(view: Mapping[str, Any], title: str, settings: Mapping[str, Any]) -> bool:
    """Return whether a view is the one that was added with a title and settings.

    Other views of people may have its title: it still has one of its filters, if it had some.
    """
    ours = _filtered(settings)
    return view.get("title") == title and (not ours or not ours.isdisjoint(_filtered(view)))


def _filtered(view: Mapping[str, Any]) -> set[str]:
    """Return what the filters of a view look at."""
    items = (view.get("filters") or {}).get("items") or ()
    return {str(item.get("filter")) for item in items}


def _titles(connection: Connection, project: int) -> dict[str, int]:
    return {str(data.get("title")): id for id, data in list_views(connection, project)}


def list_views(connection: Connection, project: int) -> list[tuple[int, Mapping[str, Any]]]:
    """Return id and data of the project's views."""
    what = f"listing the views of project {project}"
    views = connection.get_objects("api/dm/views/", {"project": project}, what)
    data = ((identifier(view, what), view.get("data")) for view in views)
    return [(id, found) for id, found in data if isinstance(found, Mapping)]


def _add(connection: Connection, project: int, title: str, settings: Mapping[str, Any]) -> int:
    view = {"title": title, "type": "list", "target": "tasks", **settings}
    body = {"project": project, "data": view}
    what = f"adding a view to project {project}"
    return identifier(connection.post_json("api/dm/views/", body, what), what)
