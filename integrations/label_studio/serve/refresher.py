"""Refreshes outdated live predictions in place.

The server requests a prediction once, when a task is first opened, and stores it. So when a task's
human boxes or the model change, its prediction is replaced. It keeps its id, since an open editor
refers to it on Submit.
"""

import logging
import time
from collections import deque
from threading import Condition, Thread
from typing import Any

from ..client.answers import check_task, identifier, text
from ..client.connection import Connection
from ..client.request_errors import RequestFailedError, RequestRefusedError
from ..project_records import read_project
from .model_host import ModelHost, is_live_version, live_version
from .predictor import Predictor

logger = logging.getLogger(__name__)

_QUIET_SECONDS = 1.0
"""Pause between two predictions: people who open tasks take priority."""
AGAIN_SECONDS = 30.0
"""Retry after this long if the server does not answer."""


class Refresher:
    """Replaces live predictions in the background.

    Args:
        connection: to the server that stores them.
        host: has the model.
        predictor: makes new predictions.
    """

    def __init__(self, connection: Connection, host: ModelHost, predictor: Predictor) -> None:
        self._connection = connection
        self._host = host
        self._predictor = predictor
        self._changed = Condition()
        self._tasks: deque[tuple[int, int]] = deque()
        """Distinct (project, task) pairs to refresh."""
        self._projects: set[int] = set()
        """Projects to search for predictions of older models."""
        self._stopping = False
        self._failure = ""
        """Why the server does not answer, as reported; empty while it does."""

    def start(self) -> None:
        """Start working."""
        Thread(target=self._run, name="refresh", daemon=True).start()

    def stop(self) -> None:
        """Stop after the current task."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def task_changed(self, project: int, task: int) -> None:
        """Record that the human boxes of a task changed."""
        with self._changed:
            if (project, task) not in self._tasks:
                self._tasks.append((project, task))
            self._changed.notify()

    def model_changed(self, project: int) -> None:
        """Record that predictions of a project may be from an older model."""
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
                    self._refresh_existing(*task)
                if project is not None:
                    self._look_through(project)
                self._failure = ""
            except Exception as error:
                if isinstance(error, RequestFailedError) and not error.is_of_one_object:
                    self._wait_for_server(task, project, str(error))
                    continue
                # The prediction is kept; the next change of its task retries.
                logger.warning("a live prediction was not replaced: %s", error)
            time.sleep(_QUIET_SECONDS)

    def _wait_for_server(
        self, task: tuple[int, int] | None, project: int | None, failure: str
    ) -> None:
        """Put work back that the server did not answer, and wait; report a failure once."""
        if failure != self._failure:
            self._failure = failure
            logger.warning("live predictions can't be replaced at the moment: %s", failure)
        with self._changed:
            if task is not None and task not in self._tasks:
                self._tasks.appendleft(task)
            if project is not None:
                self._projects.add(project)
            self._changed.wait_for(lambda: self._stopping, AGAIN_SECONDS)

    def _look_through(self, project: int) -> None:
        """Queue the tasks whose live prediction is not from the served model."""
        present = live_version(self._host.current.info.run_id)
        for entry in self._predictions({"project": project}):
            if entry.get("model_version") != present:
                self.task_changed(project, int(entry["task"]))

    def _refresh_existing(self, project: int, task: int) -> None:
        """Refresh a task, unless it was deleted since, which the server also reports."""
        try:
            self._refresh(project, task)
        except RequestFailedError as error:
            if not error.is_of_one_object or self._exists(task):
                raise

    def _exists(self, task: int) -> bool:
        try:
            # Not the task itself: without predictions, the server would request one.
            path, what = f"api/tasks/{task}/annotations/", f"looking for task {task}"
            self._connection.get_json(path, {}, what)
        except RequestRefusedError as error:
            if not error.is_not_found:
                raise
            return False
        return True

    def _refresh(self, project: int, task: int) -> None:
        entries = self._predictions({"task": task})
        if not entries:
            return
        config = read_project(self._connection, project).label_config
        # Tasks here have predictions, so reading them does not make the server request one.
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
