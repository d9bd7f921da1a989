"""The port to live backends: integrations that serve a model to their annotation tool.

Optional: `plugins.load_live_integration` finds the integrations that support it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

SECRET_VARIABLE = "SPARSEDET_SERVE_SECRET"
"""The secret that the annotation tool has to send; by default a new one at every start."""


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """What to serve, and where."""

    run: Path | None
    """Run folder of a finished training; None: the workspace's newest finished round."""
    workspace: Path | None
    """The workspace whose rounds to follow and whose reviews to collect."""
    device: str
    """cpu or cuda."""
    host: str
    """The address to listen on."""
    port: int
    """0: any free one."""
    address: str | None = None
    """The server's address from the annotation tool; None: `host` and `port`."""
    workers: int = 1
    """Number of processes, each with its own model."""
    connect: tuple[str, ...] = ()
    """Projects to connect to while the server runs."""
    secret: str | None = field(default=None, repr=False)
    """None: generate one."""
    named_url: bool = False
    """As in `ToolOptions`."""


@dataclass(frozen=True, slots=True)
class TakenOff:
    """What was taken off a project."""

    backends: int
    predictions: int
    """That our backends had made."""


class LiveIntegration(Protocol):
    """An integration that can serve a model to its tool."""

    def serve(self, url: str | None, options: LiveOptions, say: Callable[[str], None]) -> None:
        """Serve until the process is asked to stop; then disconnect from the projects.

        Args:
            url: the tool's address; None: as for a connection.
            options: what to serve, and where.
            say: receives messages for the user; the only output that shows a generated secret.

        Raises:
            SparseDetError: when there is no model to serve, the port is in use, or the tool refuses
                the backend.
        """
        ...

    def disconnect(self, url: str | None, project: str) -> TakenOff:
        """Remove all our live backends from a project, and their predictions."""
        ...
