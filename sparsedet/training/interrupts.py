"""Stopping between two iterations when a user or a scheduler asks to stop."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from sparsedet.launched import is_launched

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Hold Ctrl-C and SIGTERM back; yield a function that tells whether one has come.

    An interrupt in the midst of an iteration would leave weights, optimiser and counter apart. A
    second one is not held back, but in a launcher's processes: there the launcher passes on what
    the terminal has sent them already. Outside the main thread, where Python delivers no signals,
    nothing is held back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came = threading.Event()
    previous = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def note(_number: int, _frame: FrameType | None) -> None:
        came.set()
        if not is_launched():
            restore()

    for number in _SIGNALS:
        signal.signal(number, note)
    try:
        yield came.is_set
    finally:
        restore()
