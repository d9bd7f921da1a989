"""The port to live backends: an integration that serves a model to its annotation tool.

Optional: `plugins.load_live_integration` finds the integrations that can.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

SECRET_VARIABLE = "SPARSEDET_SERVE_SECRET"
"""The secret that the annotation tool has to give; without it one is made at every start."""


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """What is served, and where."""

    run: Path | None
    """Run folder of a finished training; None: that of the workspace's newest finished round."""
    workspace: Path | None
    """The workspace whose rounds are followed, and whose reviews are collected."""
    device: str
    """cpu or cuda."""
    host: str
    """The address to listen on."""
    port: int
    """0: any free one."""
    address: str | None = None
    """Where the annotation tool finds the server; None: at `host` and `port`."""
    workers: int = 1
    """Processes, each with a model of its own."""
    connect: tuple[str, ...] = ()
    """Projects to add the backend to while the server runs."""
    secret: str | None = field(default=None, repr=False)
    """None: one is made."""
    named_url: bool = False
    """As `ToolOptions` have it."""


@dataclass(frozen=True, slots=True)
class TakenOff:
    """What was taken off a project."""

    backends: int
    predictions: int
    """That our backends had made."""


class LiveIntegration(Protocol):
    """An integration that can serve a model to its tool."""

    def serve(self, url: str | None, options: LiveOptions, say: Callable[[str], None]) -> None:
        """Serve until the process is asked to end; then take the backend off its projects.

        Args:
            url: the tool's address; None: as for a connection.
            options: what and where.
            say: receives messages for people; the only place where a made secret is shown.

        Raises:
            SparseDetError: when there is no model to serve, the port is taken, or the tool refuses
                the backend.
        """
        ...

    def disconnect(self, url: str | None, project: str) -> TakenOff:
        """Take every live backend of ours off a project, and what they predicted."""
        ...
