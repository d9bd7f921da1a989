"""Several workers on one socket: each answers, a dead one is replaced, all stop together."""

import os
import signal
import socket
import subprocess
import sys
from threading import Thread

import httpx
import psutil
import pytest
from fastapi import FastAPI

from sparsedet.integrations.label_studio.serve.running import Running
from tests.waiting import PATIENCE, wait_for


def make_app() -> FastAPI:
    """Say which process answers."""
    app = FastAPI()
    app.get("/")(os.getpid)
    return app


def test_workers_are_replaced_and_end_together() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    running = Running(make_app(), make_app, listening, workers=2)
    thread = Thread(target=running.run)
    thread.start()
    answered: set[int] = set()

    def ask() -> None:
        answered.add(httpx.get(url, timeout=PATIENCE).json())

    def two_answer() -> bool:
        ask()
        return len(answered) == 2

    wait_for(two_answer)
    assert os.getpid() not in answered
    killed = answered.pop()
    os.kill(killed, signal.SIGKILL)
    wait_for(two_answer)
    assert killed not in answered
    running.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert not any(psutil.pid_exists(pid) for pid in answered)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_closed_terminal_stops_the_server(workers: int) -> None:
    """The shell may send the signal again while the backend is removed from its projects."""
    program = (
        "import socket; from tests.integrations.label_studio.serve.test_running import *; "
        # Tests that run under nohup ignore it.
        "signal.signal(signal.SIGHUP, signal.SIG_DFL); "
        "listening = socket.create_server(('127.0.0.1', 0)); "
        "print(listening.getsockname()[1], flush=True); "
        f"Running(make_app(), make_app, listening, {workers}).run(); "
        "os.kill(os.getpid(), signal.SIGHUP); print('removed')"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(process.stdout.readline())}"
        assert httpx.get(url, timeout=PATIENCE).status_code == httpx.codes.OK
        # To all of its processes, as a terminal does.
        os.killpg(process.pid, signal.SIGHUP)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "removed\n", "")
