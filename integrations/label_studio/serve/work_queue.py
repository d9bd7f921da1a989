"""A bounded queue of images, each processed in time or refused at once."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from threading import Semaphore
from typing import TypeVar

from sparsedet.errors import SparseDetError
from sparsedet.wording import counted

from .in_background import in_background

THREADS = 3
"""While the model processes one image, others are downloaded. With more threads, work without the
model would wait longer."""
MOST_WAITING = 200
"""Images in progress or waiting; a Label Studio has at most 100 waiting connections."""

_WEIGHT = 0.2
"""Weight of the newest image in the running mean of processing times."""

T = TypeVar("T")


class BusyError(SparseDetError):
    """Too much work is queued for an answer in time."""


class WorkQueue:
    """Runs work on images in threads, with a bounded queue.

    Args:
        most_waiting: maximum number of images in progress or waiting.
    """

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._most_waiting = most_waiting
        self._free = Semaphore(THREADS)
        self._closed = False
        self._waiting = 0
        self._seconds = 0.0
        """Running mean of the processing time of an image."""

    async def run(self, work: Callable[[], T], deadline: float) -> T:
        """Run `work` in a thread; return its result or raise its exception.

        Args:
            work: not called if the deadline has passed before its turn.
            deadline: time of `time.monotonic`.

        Raises:
            BusyError: if too much is queued, or there was no result in time.
        """
        ahead = self._waiting
        expected = (ahead + 1) * self._seconds / THREADS
        if ahead >= self._most_waiting or time.monotonic() + expected > deadline:
            raise BusyError(f"busy: {_waiting(ahead)}, about {expected:.0f} s of work; retry later")
        self._waiting += 1
        turn = asyncio.wrap_future(in_background(partial(self._timed, work, deadline), "image"))
        turn.add_done_callback(self._leave)
        try:
            # Shielded: a thread can't be stopped, and counts as busy until it ends.
            return await asyncio.wait_for(asyncio.shield(turn), deadline - time.monotonic())
        except TimeoutError:
            raise BusyError(f"busy: no answer in time, {_waiting(self._waiting)}") from None

    def close(self) -> None:
        """Stop starting work."""
        self._closed = True

    def _timed(self, work: Callable[[], T], deadline: float) -> T:
        with self._free:
            start = time.monotonic()
            if start >= deadline or self._closed:
                raise BusyError("busy: its turn came too late")
            try:
                return work()
            finally:
                seconds = time.monotonic() - start
                known = self._seconds or seconds
                self._seconds = known + _WEIGHT * (seconds - known)

    def _leave(self, turn: "asyncio.Future[T]") -> None:
        self._waiting -= 1
        if not turn.cancelled():
            turn.exception()  # marks it as retrieved: after a timeout, nobody waits for it


def _waiting(images: int) -> str:
    return counted(images, "image is waiting", "images are waiting")
