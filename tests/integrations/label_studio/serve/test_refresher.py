"""Live predictions are replaced, also by a server that was away meanwhile."""

import logging
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock, patch

import pytest

from sparsedet.integrations.label_studio.client.request_errors import (
    RequestFailedError,
    RequestRefusedError,
)
from sparsedet.integrations.label_studio.serve import refresher
from sparsedet.integrations.label_studio.serve.model_host import live_version
from sparsedet.integrations.label_studio.serve.refresher import Refresher
from tests.waiting import wait_for

CONFIG = '<View><Image name="image" value="$image"/></View>'


class _Server:
    """Has a live prediction of an older model for each of three tasks, and may be down."""

    def __init__(self) -> None:
        self.versions = {task: live_version("old") for task in (1, 2, 3)}
        self.problem: RequestFailedError | None = None
        self.asked = 0

    def get_objects(self, path: str, where: dict[str, Any], what: str) -> list[dict[str, Any]]:
        self._answer()
        return [
            {"id": 10 * task, "task": task, "model_version": version}
            for task, version in self.versions.items()
            if where.get("task", task) == task
        ]

    def get_object(self, path: str, where: dict[str, Any], what: str) -> dict[str, Any]:
        self._answer()
        return {"id": int(path.split("/")[2]), "data": {}, "annotations": []}

    def patch_json(self, path: str, body: dict[str, Any], what: str) -> None:
        self._answer()
        self.versions[int(path.split("/")[2]) // 10] = body["model_version"]

    def _answer(self) -> None:
        self.asked += 1
        if self.problem is not None:
            raise self.problem


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> _Server:
    monkeypatch.setattr(refresher, "_QUIET_SECONDS", 0.0)
    monkeypatch.setattr(refresher, "AGAIN_SECONDS", 0.05)
    return _Server()


def replace_all(server: _Server, until: Callable[[], bool], come_back: bool = False) -> None:
    """Replace the predictions of a project until something is true, then possibly once more."""
    host, predictor = Mock(), Mock()
    host.current.info.run_id = "new"
    predictor.predict.return_value = {"model_version": live_version("new"), "result": []}
    made = Refresher(Mock(wraps=server), host, predictor)
    project = patch.object(refresher, "read_project", return_value=Mock(label_config=CONFIG))
    with project, patch.object(refresher, "check_task"):
        made.start()
        made.model_changed(5)
        wait_for(until)
        if come_back:
            server.problem = None
            wait_for(lambda: set(server.versions.values()) == {live_version("new")})
        made.stop()


def test_a_server_that_restarts_gets_all_predictions_and_is_reported_once(
    server: _Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.problem = RequestFailedError("can't reach Label Studio")
    with caplog.at_level(logging.WARNING):
        replace_all(server, lambda: server.asked > 3, come_back=True)
    assert [record.getMessage() for record in caplog.records] == [
        "live predictions can't be replaced at the moment: can't reach Label Studio"
    ]


def test_what_is_refused_for_one_object_is_not_asked_for_again(
    server: _Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.problem = RequestRefusedError("no project 5", 404, {})
    with caplog.at_level(logging.WARNING):
        replace_all(server, lambda: bool(caplog.records))
    time.sleep(0.2)
    assert server.asked == 1
