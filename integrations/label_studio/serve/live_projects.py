"""The projects that a running live backend is connected to, also those that come later."""

import logging
import threading
from collections.abc import Callable, Sequence

from ..client.connection import Connection, project_number
from .connect import Connected, connect, disconnect
from .refresher import AGAIN_SECONDS
from .reviewed_projects import ReviewedProjects

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""Pause between two looks for new review projects."""


class LiveProjects:
    """Connects a backend to projects while it runs.

    Args:
        connection: to the server.
        served: projects that get the backend; if there are none, nothing is connected.
        reviewed: projects that only get webhooks.
        address: where the server reaches the backend.
        secret: the backend's secret.
    """

    def __init__(
        self,
        connection: Connection,
        served: Sequence[str],
        reviewed: ReviewedProjects,
        *,
        address: str,
        secret: str,
    ) -> None:
        self._connection = connection
        self._served = served
        self._reviewed = reviewed
        self._address = address
        self._secret = secret
        self._added = Connected()
        self._waiting = self._look()
        """Projects that are to get webhooks."""

    @property
    def names(self) -> list[str]:
        """All of them, connected or not."""
        return list(dict.fromkeys((*self._served, *self._reviewed.known)))

    def connect(self) -> bool:
        """Connect to those that are known at the start; return whether there are any to serve.

        Raises:
            ToolError: if the server refuses; then nothing is left behind.
        """
        if not self._served:
            return False
        self._add(self._served, self._waiting)
        self._waiting = []
        return True

    def follow(self, ended: threading.Event, report: Callable[[str], None]) -> None:
        """Add webhooks to new review projects until an event is set.

        Args:
            ended: ends it.
            report: reads the reviews that a project got before its webhook.
        """
        failure, pause = "", LOOK_SECONDS
        while not ended.wait(pause):
            try:
                self._waiting += self._look()
                while self._waiting and not ended.is_set():
                    self._add([], self._waiting[:1])
                    report(self._waiting.pop(0))
                failure, pause = "", LOOK_SECONDS
            except Exception as error:
                # Catch everything: if the thread died, later projects would be missed silently.
                if str(error) != failure:
                    failure = str(error)
                    logger.warning("can't connect to new review projects at the moment: %s", error)
                pause = AGAIN_SECONDS

    def disconnect(self) -> bool:
        """Remove what was added; return whether that was anything.

        Raises:
            ToolError: if the server refuses.
        """
        disconnect(self._connection, self._added)
        return self._added != Connected()

    def _look(self) -> list[str]:
        # Served ones have webhooks; to connect to one again would remove its backend.
        served = set(map(project_number, self._served))
        return [new for new in self._reviewed.look() if project_number(new) not in served]

    def _add(self, served: Sequence[str], reviewed: Sequence[str]) -> None:
        self._added += connect(
            self._connection, served, reviewed, address=self._address, secret=self._secret
        )
