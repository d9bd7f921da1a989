"""Uvicorn, in this process or in several workers, as one thing that runs until it is stopped."""

import logging
import signal
import socket
import threading
from collections.abc import Callable
from multiprocessing import connection, get_context, parent_process
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from fastapi import FastAPI

logger = logging.getLogger(__name__)

_STOP_SECONDS = 5
"""Answers that are under way may still be given when the server ends."""
_AGAIN_SECONDS = 3.0
"""A worker that died is replaced after so long: one that can't live shall not take all cores."""


class Running:
    """A server that is about to run.

    Args:
        app: this process's application, for one worker.
        make_app: makes that of a worker in another process; can be pickled.
        listening: the socket to answer on; closed in the end.
        workers: number of processes; 1: this one.
    """

    def __init__(
        self,
        app: "FastAPI",
        make_app: Callable[[], "FastAPI"],
        listening: socket.socket,
        workers: int,
    ) -> None:
        self._server = _server(app)
        self._make_app = make_app
        self._listening = listening
        self._workers = workers
        self._ending = threading.Event()

    def run(self) -> None:
        """Serve until `stop`, or until the process is asked to end."""
        try:
            if self._workers == 1:
                self._server.run([self._listening])
            else:
                self._supervise()
        except KeyboardInterrupt:
            pass  # how a server ends
        finally:
            self._listening.close()

    def stop(self) -> None:
        """End it, from another thread."""
        self._server.should_exit = True
        self._ending.set()

    def _supervise(self) -> None:
        processes = [self._start() for _ in range(self._workers)]
        try:
            while not self._ending.is_set():
                connection.wait([process.sentinel for process in processes], 0.5)
                for index, process in enumerate(processes):
                    if not process.is_alive() and not self._ending.wait(_AGAIN_SECONDS):
                        logger.warning("a worker ended (%s); another one starts", process.exitcode)
                        processes[index] = self._start()
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.join(2 * _STOP_SECONDS)
                process.kill()

    def _start(self) -> SpawnProcess:
        # Not forked: threads of torch and of the connection would not come along.
        process = get_context("spawn").Process(
            target=_work, args=(self._make_app, self._listening), daemon=True
        )
        process.start()
        return process


def _work(make_app: Callable[[], "FastAPI"], listening: socket.socket) -> None:
    """Serve as a worker, as long as the process that started it lives."""
    # Ctrl-C reaches every process of a terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = _server(make_app())
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            server.should_exit = True

    threading.Thread(target=watch, name="parent", daemon=True).start()
    server.run([listening])


def _server(app: "FastAPI") -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,  # paths may hold the secret
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
    )
