"""Review projects that come up while a live backend runs, and a server that is away then."""

import logging
import threading
from unittest.mock import Mock

import pytest

from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio.serve import live_projects
from sparsedet.integrations.label_studio.serve.connect import Connected
from sparsedet.integrations.label_studio.serve.live_projects import LiveProjects
from tests.waiting import PATIENCE


def test_a_server_that_is_away_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    away, ended = ToolError("can't reach Label Studio"), threading.Event()
    added = [Connected((1,), (2,)), away, away, Connected((), (3,)), Connected((), (4,))]
    connect, disconnect = Mock(side_effect=added), Mock()
    monkeypatch.setattr(live_projects, "connect", connect)
    monkeypatch.setattr(live_projects, "disconnect", disconnect)
    monkeypatch.setattr(live_projects, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(live_projects, "AGAIN_SECONDS", 0.01)
    looks = iter([[], ["7", "8", "9"]])
    reviewed = Mock(known=["7", "8", "9"], look=lambda: next(looks, []))
    live = LiveProjects(Mock(), ["7"], reviewed, address="http://here", secret="s")
    assert live.connect()

    reported: list[str] = []

    def report(project: str) -> None:
        reported.append(project)
        if project == "9":
            ended.set()

    threading.Timer(PATIENCE, ended.set).start()
    with caplog.at_level(logging.WARNING):
        following = threading.Thread(target=live.follow, args=(ended, report), daemon=True)
        following.start()
        following.join(PATIENCE)
    assert ended.is_set()
    assert [call.args[1:] for call in connect.call_args_list] == [
        (["7"], []),
        *[([], ["8"])] * 3,
        ([], ["9"]),
    ]
    assert reported == ["8", "9"]
    assert [record.getMessage() for record in caplog.records] == [
        "can't connect to new review projects at the moment: can't reach Label Studio"
    ]
    assert live.disconnect()
    assert disconnect.call_args.args[1] == Connected((1,), (2, 3, 4))
