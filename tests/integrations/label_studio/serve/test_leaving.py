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
from sparsedet.integrations.label_studio.serve.connect import Connected
from tests.waiting import PATIENCE

LATER = "run sparsedet serve --disconnect 7"
ADDED = Connected((1,), (2,))


def leave(take_off: Callable[[Connected], None]) -> list[str]:
    """Connect, and leave; return what was said."""
    said: list[str] = []
    connected = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        connected.set()

    with server._connected(Mock(), lambda _: None, lambda: ADDED, take_off, say, LATER):
        assert connected.wait(PATIENCE)
    return said


def test_leaving_is_said() -> None:
    taken: list[Connected] = []
    assert leave(taken.append)[1:] == ["removed from its projects"]
    assert taken == [ADDED]


def test_a_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LEAVE_SECONDS", 0.4)
    monkeypatch.setattr(server, "_NOTED_SECONDS", 0.1)
    hanging = threading.Event()

    def hang(_: Connected) -> None:
        hanging.wait(PATIENCE)

    try:
        with pytest.raises(ToolError, match=f"did not answer within .*may still be .*{LATER}"):
            leave(hang)
    finally:
        hanging.set()


def test_a_server_that_refuses() -> None:
    def refuse(_: Connected) -> None:
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
