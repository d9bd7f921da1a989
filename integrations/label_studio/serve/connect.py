"""Registers the live backend in projects while it runs, and removes it at the end."""

import ipaddress
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from sparsedet.errors import ToolError

from ..client.answers import identifier
from ..client.answers import number as count
from ..client.connection import Connection, RequestRefusedError, project_number
from .model_host import is_live_version
from .secret import USER, authorization

REPORTED = (
    "ANNOTATION_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATIONS_DELETED",
)
"""Webhook events."""

TITLE = "sparsedet live"
"""Title of our backends: shown by the server, and used by projects to select one."""

_MARK = "X-Sparsedet-Live"
"""A header that identifies our webhooks."""
_LOOKING = "looking for live backends"
_DESCRIPTION = "Shows people's boxes together with those that a model finds missing."


@dataclass(frozen=True, slots=True)
class Connected:
    """What was added to a server."""

    backends: tuple[int, ...] = ()
    webhooks: tuple[int, ...] = ()

    def __add__(self, other: "Connected") -> "Connected":
        return Connected(self.backends + other.backends, self.webhooks + other.webhooks)


def connect(
    connection: Connection,
    projects: Iterable[str],
    reviews: Iterable[str],
    *,
    address: str,
    secret: str,
) -> Connected:
    """Add the backend and webhooks to projects, replacing our previous ones.

    Args:
        connection: to the server.
        projects: those that get the backend.
        reviews: further projects that only get webhooks, if they still exist.
        address: where the server reaches the backend, which must already be running.
        secret: the backend's secret.

    Raises:
        ToolError: if the server refuses the backend; then nothing is left behind.
    """
    served = [project_number(project) for project in projects]
    reported = dict.fromkeys([*served, *(project_number(project) for project in reviews)])
    backends: list[int] = []
    webhooks: list[int] = []
    try:
        for project in reported:
            try:
                take_off(connection, str(project))
            except RequestRefusedError as error:
                if project in served or not error.is_not_found:
                    raise
                continue  # a review project that was deleted, as reading its reviews will say
            # Before the backend: otherwise the server adds its own webhook, without the secret.
            webhooks.append(_add_webhook(connection, project, address, secret))
            if project in served:
                backends.append(_add_backend(connection, project, address, secret))
    except ToolError as error:
        disconnect(connection, Connected(tuple(backends), tuple(webhooks)))
        raise ToolError(f"{error}{_advice(str(error), address)}") from None
    return Connected(tuple(backends), tuple(webhooks))


def disconnect(connection: Connection, connected: Connected) -> None:
    """Remove what `connect` added, if it still exists."""
    for path in (
        *(f"api/ml/{id}" for id in connected.backends),
        *(f"api/webhooks/{id}/" for id in connected.webhooks),
    ):
        _delete(connection, path)


def take_off(connection: Connection, project: str) -> int:
    """Remove all our live backends from a project; return how many there were."""
    number = project_number(project)
    backends = [
        identifier(entry, _LOOKING)
        for entry in _entries(connection, "api/ml/", number)
        if entry.get("title") == TITLE
    ]
    webhooks = [
        identifier(entry, _LOOKING)
        for entry in _entries(connection, "api/webhooks/", number)
        if _MARK in (entry.get("headers") or {}) and entry.get("project") == number
    ]
    disconnect(connection, Connected(tuple(backends), tuple(webhooks)))
    return len(backends)


def delete_live_predictions(connection: Connection, project: str) -> int:
    """Delete the predictions that live backends of ours made in a project; return their number.

    The server keeps them when a backend goes, and does not note which one made them.
    """
    number = project_number(project)
    path = f"api/projects/{number}/model-versions/"
    what = f"looking for live predictions of project {number}"
    versions = [v for v in connection.get_object(path, {}, what) if is_live_version(v)]
    deleted = 0
    for version in versions:
        what = f"deleting the predictions of {version} in project {number}"
        answer = connection.delete_named(path, {"model_version": version}, what)
        deleted += count(answer, "deleted_predictions", what)
    return deleted


def _add_backend(connection: Connection, project: int, address: str, secret: str) -> int:
    body = {
        "project": project,
        "url": address,
        "title": TITLE,
        "description": _DESCRIPTION,
        "auth_method": "BASIC_AUTH",
        "basic_auth_user": USER,
        "basic_auth_pass": secret,
    }
    what = f"adding the backend {address} to project {project}"
    return identifier(connection.post_json("api/ml/", body, what), what)


def _add_webhook(connection: Connection, project: int, address: str, secret: str) -> int:
    body = {
        "project": project,
        "url": f"{address.rstrip('/')}/webhook",
        "send_payload": True,
        "send_for_all_actions": False,
        "actions": list(REPORTED),
        "headers": {"Authorization": authorization(secret), _MARK: "1"},
    }
    what = f"having annotations of project {project} reported to {address}"
    return identifier(connection.post_json("api/webhooks/", body, what), what)


def _entries(connection: Connection, path: str, project: int) -> Sequence[Mapping[str, Any]]:
    what = f"{_LOOKING} of project {project}"
    return connection.get_objects(path, {"project": project}, what)


def _delete(connection: Connection, path: str) -> None:
    try:
        connection.delete(path, "removing the live backend")
    except RequestRefusedError as error:
        # Somebody else removed it, or the whole project is gone.
        if error.status != httpx.codes.NOT_FOUND:
            raise


def _advice(error: str, address: str) -> str:
    """Return advice if the server may have refused a private address."""
    if "answered with status" not in error and "does not allow" not in error:
        return ""
    host = urlsplit(address).hostname or ""
    try:
        private = ipaddress.ip_address(socket.gethostbyname(host)).is_private
    except (OSError, ValueError):
        return ""
    if not private:
        return ""
    return (
        "; for a backend on the same machine or in a private network, Label Studio needs "
        "ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false in its environment"
    )
