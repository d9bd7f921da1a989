"""What a worker of a live backend consists of: model, predictions, and reports of annotations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sparsedet.loop.live_reviews import ReviewCollector
from sparsedet.loop.workspace import Workspace
from sparsedet.tool import AnnotationTool, ToolOptions

from ..connection import Connection
from .connect import REPORTED
from .model_host import ModelHost
from .predictor import Predictor
from .refresher import Refresher
from .work_queue import WorkQueue


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What it takes to make a service, in this process or in another one."""

    run: Path | None
    workspace: Path | None
    device: str
    url: str
    options: ToolOptions
    connect: tuple[str, ...]
    api_key: str = field(repr=False)
    secret: str = field(repr=False)


class ConnectedTool(AnnotationTool, Protocol):
    """The tool, with its connection."""

    @property
    def connection(self) -> Connection:
        """For requests beyond the port."""
        ...


class Service:
    """A worker's share of a live backend.

    Args:
        settings: what is served.
        tool: connected as the settings say.
    """

    def __init__(self, settings: ServiceSettings, tool: ConnectedTool) -> None:
        self.secret = settings.secret
        self._connect = [int(project) for project in settings.connect]
        workspace = None if settings.workspace is None else Workspace(settings.workspace)
        self.host = ModelHost(settings.run, workspace, settings.device)
        self.queue = WorkQueue()
        images = None if workspace is None else workspace.images
        self.predictor = Predictor(tool.connection, self.host, settings.options, images)
        self._refresher = Refresher(tool.connection, self.host, self.predictor)
        self._collector = None if workspace is None else ReviewCollector(workspace, tool)

    def start(self) -> None:
        """Begin to look for newer models and to take reports."""
        self.host.look()
        self.host.start(self._model_changed)
        self._refresher.start()
        self._model_changed()
        if self._collector is not None:
            self._collector.start()

    def stop(self) -> None:
        """End; reviews that were reported are read first."""
        self.host.stop()
        self._refresher.stop()
        self.queue.close()
        if self._collector is not None:
            self._collector.stop()

    def report(self, event: Mapping[str, Any]) -> str:
        """Take a report of the server, which waits a second for the answer; say what it led to."""
        project = _id_of(event.get("project"))
        if event.get("action") not in REPORTED or project is None:
            return "ignored"
        if (task := _id_of(event.get("task"))) is not None:
            self._refresher.task_changed(project, task)
        if self._collector is None:
            return "noted"
        self._collector.notify(str(project))
        return "collecting"

    def _model_changed(self) -> None:
        for project in self._connect:
            self._refresher.model_changed(project)


def _id_of(value: Any) -> int | None:
    number = value.get("id") if isinstance(value, Mapping) else None
    return number if isinstance(number, int) else None
