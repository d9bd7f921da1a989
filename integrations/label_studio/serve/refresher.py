"""Live predictions that say what no longer holds: made again, in place.

The server asks for a prediction once, when a task is first opened, and keeps it. So when people's
boxes of a task change, or the model does, its prediction is replaced. It keeps its number, since
an editor that is open on it names it when it submits.
"""

import logging
import time
from collections import deque
from threading import Condition, Thread
from typing import Any

from ..answers import check_task, identifier, text
from ..connection import Connection
from ..project_records import read_project
from .model_host import ModelHost, is_live_version, live_version
from .predictor import Predictor

logger = logging.getLogger(__name__)

_QUIET_SECONDS = 1.0
"""Between two predictions: whoever opens a task comes first."""


class Refresher:
    """Replaces live predictions in the background.

    Args:
        connection: to the server that holds them.
        host: has the model.
        predictor: makes the new ones.
    """

    def __init__(self, connection: Connection, host: ModelHost, predictor: Predictor) -> None:
        self._connection = connection
        self._host = host
        self._predictor = predictor
        self._changed = Condition()
        self._tasks: deque[tuple[int, int]] = deque()
        """(project, task), without repeats."""
        self._projects: set[int] = set()
        """Those to look through for predictions of older models."""
        self._stopping = False

    def start(self) -> None:
        """Begin to work."""
        Thread(target=self._run, name="refresh", daemon=True).start()

    def stop(self) -> None:
        """Begin nothing more."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def task_changed(self, project: int, task: int) -> None:
        """Take note that people's boxes of a task changed."""
        with self._changed:
            if (project, task) not in self._tasks:
                self._tasks.append((project, task))
            self._changed.notify()

    def model_changed(self, project: int) -> None:
        """Take note that predictions of a project may be of an older model."""
        with self._changed:
            self._projects.add(project)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._tasks or self._projects or self._stopping)
                if self._stopping:
                    return
                task = self._tasks.popleft() if self._tasks else None
                project = None if task or not self._projects else self._projects.pop()
            try:
                if task is not None:
                    self._refresh(*task)
                if project is not None:
                    self._look_through(project)
            except Exception as error:
                # The prediction stays as it was; the next change of its task tries again.
                logger.warning("a live prediction was not replaced: %s", error)
            time.sleep(_QUIET_SECONDS)

    def _look_through(self, project: int) -> None:
        """Note the tasks whose live prediction is of another model than the one that is served."""
        present = live_version(self._host.current.info.run_id)
        for entry in self._predictions({"project": project}):
            if entry.get("model_version") != present:
                self.task_changed(project, int(entry["task"]))

    def _refresh(self, project: int, task: int) -> None:
        entries = self._predictions({"task": task})
        if not entries:
            return
        config = read_project(self._connection, project).label_config
        # A task that is read has predictions here, so that the server does not ask for one.
        what = f"reading task {task}"
        content = self._connection.get_object(f"api/tasks/{task}/", {"resolve_uri": False}, what)
        check_task(content, what)
        made = self._predictor.predict(content, config, str(project))
        for entry in entries:
            id = identifier(entry, what)
            self._connection.patch_json(
                f"api/predictions/{id}/", made, f"replacing prediction {id}"
            )

    def _predictions(self, where: dict[str, Any]) -> list[dict[str, Any]]:
        what = "reading live predictions"
        found = self._connection.get_objects("api/predictions/", where, what)
        return [entry for entry in found if is_live_version(text(entry, "model_version", what))]
