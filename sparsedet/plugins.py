"""Integrations by name: the entry points `sparsedet.integrations` of installed packages.

An integration connects to an annotation tool. It may also check a connection, serve a model to its
tool, or start a server of its own, for demos and tests.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol

from sparsedet.errors import ToolError
from sparsedet.live_backend import LiveIntegration
from sparsedet.prelabels import PrelabelIntegration
from sparsedet.push_modes import Progress, no_progress
from sparsedet.scriptable_tool import ScriptableTool
from sparsedet.tool import DEFAULT_OPTIONS, AnnotationTool, ToolOptions

ENTRY_POINTS = "sparsedet.integrations"


@dataclass(frozen=True, slots=True)
class LocalTool:
    """An annotation tool running on this machine, with its credentials."""

    tool: ScriptableTool
    url: str
    user: str
    password: str = field(repr=False)


class CheckableIntegration(Protocol):
    """An integration that can check the server configured in the environment."""

    def check_connection(self) -> str:
        """Connect as configured in the environment, without prompting.

        Returns:
            The server's version, address and account in one line.

        Raises:
            NotConfiguredError: when neither address nor key are set.
            ToolError: one line, never containing the key.
        """
        ...


class LocalIntegration(Protocol):
    """An integration that can start its own server."""

    def local(
        self, data_dir: Path, *, keep: bool = False, progress: Progress = no_progress
    ) -> AbstractContextManager[LocalTool]:
        """Run a server on `data_dir` during the block; with `keep`, beyond it."""
        ...


class LinkedIntegration(Protocol):
    """An integration whose images can be opened in a browser."""

    def image_address(self, url: str, project: str, tool_id: str) -> str:
        """Return `AnnotationTool.image_url` for a server, without connecting."""
        ...


class NamingIntegration(Protocol):
    """An integration that knows how its tool names projects."""

    def check_project(self, project: str) -> None:
        """Check the name of a project without connecting.

        Raises:
            ToolError: if no project can have this name.
        """
        ...


class Integration(Protocol):
    """The object of an entry point in the group `sparsedet.integrations`."""

    def __call__(
        self, url: str | None = None, options: ToolOptions = DEFAULT_OPTIONS
    ) -> AnnotationTool:
        """Connect; address and key come from the tool's environment variables or a prompt."""
        ...


def integration_names() -> list[str]:
    """Return the names of all installed integrations."""
    return sorted(_points())


def load_integration(name: str) -> Integration:
    """Return the integration that a package registered under `name`.

    Raises:
        ToolError: listing the names that are installed.
    """
    integration: Integration = _load(name)
    return integration


def check_connection(name: str) -> str | None:
    """Check an integration's server, as configured in the environment.

    Returns:
        Its description; None if the integration has no server.

    Raises:
        NotConfiguredError: when none is configured.
        ToolError: when the integration is not installed, the server is unreachable, or refuses the
            key; never containing the key.
    """
    integration = _load(name)
    if not hasattr(integration, "check_connection"):
        return None
    checkable: CheckableIntegration = integration
    return checkable.check_connection()


def image_address(name: str, url: str, project: str, tool_id: str) -> str:
    """Return the web address of an image in an annotation tool, without contacting it.

    Args:
        name: of the integration.
        url: of the server.
        project: the server's id of a project.
        tool_id: the server's id of an image in it.

    Returns:
        Empty if the integration is not installed, or its images have no web address.
    """
    integration: Any = point.load() if (point := _points().get(name)) else None
    if not hasattr(integration, "image_address"):
        return ""
    linked: LinkedIntegration = integration
    return linked.image_address(url, project, tool_id)


def check_project(name: str, project: str) -> None:
    """Check how a project is named, before the tool's key is asked for.

    Args:
        name: of the integration; one that takes any name is not asked.
        project: the project as the user named it.

    Raises:
        ToolError: if the integration is not installed, or no project can have this name.
    """
    integration = _load(name)
    if hasattr(integration, "check_project"):
        naming: NamingIntegration = integration
        naming.check_project(project)


def load_local_integration(name: str) -> LocalIntegration:
    """Return an integration that can start its own server.

    Raises:
        ToolError: when it is not installed or can't.
    """
    local: LocalIntegration = _able(name, "local", "can't start a server of its own")
    return local


def load_live_integration(name: str) -> LiveIntegration:
    """Return an integration that can serve a model to its tool.

    Raises:
        ToolError: when it is not installed or can't.
    """
    live: LiveIntegration = _able(name, "serve", "has no live backend")
    return live


def load_prelabel_integration(name: str) -> PrelabelIntegration:
    """Return an integration that can add predictions to unannotated images.

    Raises:
        ToolError: when it is not installed or can't.
    """
    prelabels: PrelabelIntegration = _able(name, "prelabel", "takes no pre-labels")
    return prelabels


def _able(name: str, method: str, lack: str) -> Any:
    """Return an integration with an optional method; `lack` describes those without it."""
    integration = _load(name)
    if not hasattr(integration, method):
        raise ToolError(f"the integration {name!r} {lack}")
    return integration


def _load(name: str) -> Any:
    points = _points()
    if name not in points:
        found = ", ".join(sorted(points)) or "-"
        raise ToolError(f"no integration {name!r} is installed (available: {found})")
    return points[name].load()


def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}
