"""A live backend that stops while Label Studio hangs: it waits for a limited time, and says so."""

import subprocess
import sys
import threading
from collections.abc import Callable
from unittest.mock import Mock

import pytest

from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio.client.failures import AGAIN
from sparsedet.integrations.label_studio.serve import server
from tests.waiting import PATIENCE

LATER = "run sparsedet serve --disconnect 7"


def leave(
    disconnect: Callable[[], bool], report: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Connect, and leave; return what was said."""
    said: list[str] = []
    live = Mock(names=["7", "8"], disconnect=disconnect)
    connected = threading.Event()
    live.follow.side_effect = lambda *_: connected.set()
    with server._connected(Mock(), live, lambda _: None, report, said.append, lambda: LATER):
        assert connected.wait(PATIENCE)
    return said


def test_leaving_is_said() -> None:
    disconnect = Mock(return_value=True)
    assert leave(disconnect)[1:] == ["removed from its projects"]
    disconnect.assert_called_once_with()


def test_reviews_are_read_once_at_the_start() -> None:
    """By the worker that gets the report; one report is enough for all projects."""
    report = Mock()
    leave(lambda: True, report)
    report.assert_called_once_with("8")


def test_a_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LEAVE_SECONDS", 0.4)
    monkeypatch.setattr(server, "_NOTED_SECONDS", 0.1)
    hanging = threading.Event()

    def hang() -> bool:
        return hanging.wait(PATIENCE)

    try:
        with pytest.raises(ToolError, match=f"did not answer within .*may still be .*{LATER}"):
            leave(hang)
    finally:
        hanging.set()


def test_a_server_that_refuses() -> None:
    def refuse() -> bool:
        raise ToolError(f"can't be reached any more; {AGAIN}")

    with pytest.raises(ToolError, match=f"^can't be reached any more; the backend .*{LATER}$"):
        leave(refuse)


def test_an_image_that_hangs_does_not_keep_the_process_alive() -> None:
    program = (
        "import asyncio, time; "
        "from sparsedet.integrations.label_studio.serve.work_queue import *; "
        f"asyncio.run(WorkQueue().run(lambda: time.sleep({3 * PATIENCE}), time.monotonic() + 0.2))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE
    )
    assert "BusyError: busy: no answer in time" in done.stderr
