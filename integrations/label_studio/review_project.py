"""The review project: a copy of the tasks in which people look at mined boxes.

Mined boxes never go into the annotated project itself, where they would become unreviewed truth.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from sparsedet.errors import ToolError

from .connection import WRITE, Connection
from .views import HIDDEN_COLUMNS, find_or_add_view

SOURCE_TASK_KEY = "sparsedet_source_task"
"""Key of a review task's data: the id of the task in the annotated project that it copies."""

VIEW_TITLE = "By model score"

_MARK = "[sparsedet review of project {}]"
_TITLE_SUFFIX = " - sparsedet review"
_MAX_TITLE = 50

_STORAGES = {"s3": "s3", "gs": "gcs", "azure-blob": "azure"}
"""URI schemes that Label Studio resolves through a storage of the project that the task is in."""


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
            raise ToolError("Label Studio made a review project without telling its number")
        return created.id


def show_predictions(connection: Connection, review: int, model_version: str) -> None:
    """Pre-fill tasks with the predictions of `model_version`, and offer a view ordered by score."""
    show_version(connection, review, model_version)
    hidden = [*HIDDEN_COLUMNS, f"tasks:data.{SOURCE_TASK_KEY}"]
    settings = {
        "ordering": ["-tasks:predictions_score"],
        "hiddenColumns": {"explore": hidden, "labeling": hidden},
    }
    find_or_add_view(connection, review, VIEW_TITLE, settings)


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
