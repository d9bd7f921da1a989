"""Runs Uvicorn in this process or in several workers until it is stopped."""

import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from fastapi import FastAPI

logger = logging.getLogger(__name__)

_STOP_SECONDS = 5
"""Time to finish pending answers when the server stops."""
_AGAIN_SECONDS = 3.0
"""Delay before replacing a dead worker, so that a crash loop does not use all cores."""


class Running:
    """A server to run.

    Args:
        app: the application for a single worker in this process.
        make_app: creates the application in a worker process; must be picklable.
        listening: the listening socket; closed at the end.
        workers: number of processes; 1 uses this process.
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
        """Serve until `stop`, or a signal to end."""
        try:
            with self._stopped_by_hang_up():
                if self._workers == 1:
                    self._server.run([self._listening])
                else:
                    self._supervise()
        except KeyboardInterrupt:
            pass  # the usual end of a server
        finally:
            self._listening.close()

    def stop(self) -> None:
        """Stop it, from another thread."""
        self._server.should_exit = True
        self._ending.set()

    @contextmanager
    def _stopped_by_hang_up(self) -> Iterator[None]:
        """Also stop when the terminal is closed, for which Uvicorn has no handler."""
        before = signal.getsignal(signal.SIGHUP)
        is_main = threading.current_thread() is threading.main_thread()
        if not is_main or before == signal.SIG_IGN:  # nohup ignores it
            yield
            return

        def hang_up(number: int, frame: object) -> None:
            signal.signal(number, signal.SIG_IGN)  # a shell sends it again
            self.stop()

        signal.signal(signal.SIGHUP, hang_up)
        try:
            yield
        finally:
            if signal.getsignal(signal.SIGHUP) == hang_up:
                signal.signal(signal.SIGHUP, before)

    def _supervise(self) -> None:
        processes = [self._start() for _ in range(self._workers)]
        try:
            while not self._ending.is_set():
                connection.wait([process.sentinel for process in processes], 0.5)
                for index, process in enumerate(processes):
                    if not process.is_alive() and not self._ending.wait(_AGAIN_SECONDS):
                        logger.warning(
                            "a worker ended (%s); starting another one", process.exitcode
                        )
                        processes[index] = self._start()
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.join(2 * _STOP_SECONDS)
                process.kill()

    def _start(self) -> SpawnProcess:
        # Not forked: threads of torch and of the connection would be missing.
        process = get_context("spawn").Process(
            target=_work, args=(self._make_app, self._listening), daemon=True
        )
        process.start()
        return process


def _work(make_app: Callable[[], "FastAPI"], listening: socket.socket) -> None:
    """Serve as a worker, as long as the process that started it lives."""
    # Ctrl-C, or closing it, reaches every process of a terminal; the first one stops the others.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
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
            access_log=False,  # paths may contain the secret
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
    )
