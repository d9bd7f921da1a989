"""Waits for what other threads and processes do."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds that something may take on a busy machine."""


def wait_for(what: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Return what `what` returns, once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found
