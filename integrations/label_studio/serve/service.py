"""A worker of a live backend: model, predictions and webhooks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sparsedet.loop.live_reviews import ReviewCollector
from sparsedet.loop.workspace import Workspace
from sparsedet.tool import AnnotationTool, ToolOptions

from ..client.connection import Connection, project_number
from .connect import REPORTED
from .model_host import ModelHost
from .predictor import Predictor
from .refresher import Refresher
from .work_queue import WorkQueue


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Settings to create a service in this process or another one."""

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
        """For requests that the port does not cover."""
        ...


class Service:
    """A worker of a live backend.

    Args:
        settings: what to serve.
        tool: connected according to the settings.
    """

    def __init__(self, settings: ServiceSettings, tool: ConnectedTool) -> None:
        self.secret = settings.secret
        self._connect = [project_number(project) for project in settings.connect]
        workspace = None if settings.workspace is None else Workspace(settings.workspace)
        self.host = ModelHost(settings.run, workspace, settings.device)
        self.queue = WorkQueue()
        images = None if workspace is None else workspace.images
        self.predictor = Predictor(tool.connection, self.host, settings.options, images)
        self._refresher = Refresher(tool.connection, self.host, self.predictor)
        self._collector = None if workspace is None else ReviewCollector(workspace, tool)

    def start(self) -> None:
        """Start watching for newer models and accepting webhooks."""
        self.host.look()
        self.host.start(self._model_changed)
        self._refresher.start()
        self._model_changed()
        if self._collector is not None:
            self._collector.start()

    def stop(self) -> None:
        """Stop, after reading reported reviews."""
        self.host.stop()
        self._refresher.stop()
        self.queue.close()
        if self._collector is not None:
            self._collector.stop()

    def report(self, event: Mapping[str, Any]) -> str:
        """Handle a webhook, for whose answer the server waits a second; return the result."""
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
