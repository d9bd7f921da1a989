"""Work in threads that the process does not wait for when it ends.

Work that asks a server which hangs can't be stopped; the threads of `concurrent.futures` would keep
the process alive until it ends.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def in_background(work: Callable[[], T], name: str) -> "Future[T]":
    """Start `work` in a thread of this name; return its result, or what it raises."""
    result: Future[T] = Future()
    # From now on, it can't be cancelled: nothing would set its result twice.
    result.set_running_or_notify_cancel()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:
            result.set_exception(error)

    Thread(target=run, name=name, daemon=True).start()
    return result
