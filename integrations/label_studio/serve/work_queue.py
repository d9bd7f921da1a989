"""Images in work: so many and no more, each done in time or refused at once."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sparsedet.errors import SparseDetError

THREADS = 3
"""While the model looks at one image, others are downloaded. With more of them, what needs no model
would wait longer for its turn."""
MOST_WAITING = 200
"""Images in work or waiting; at most 100 connections of one Label Studio wait at a time."""

_WEIGHT = 0.2
"""Of the newest image in the running mean of what one takes."""

T = TypeVar("T")


class BusyError(SparseDetError):
    """There is too much to do for an answer in time."""


class WorkQueue:
    """Work on images in threads, of which only so much may wait.

    Args:
        most_waiting: images in work or waiting.
    """

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._most_waiting = most_waiting
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="image")
        self._waiting = 0
        self._seconds = 0.0
        """What an image has taken lately, from its turn to its end."""

    async def run(self, work: Callable[[], T], deadline: float) -> T:
        """Return what `work` returns, or raise what it raises.

        Args:
            work: called in another thread, unless the deadline has passed before its turn.
            deadline: of `time.monotonic`.

        Raises:
            BusyError: when too much waits, or nothing came in time.
        """
        ahead = self._waiting
        expected = (ahead + 1) * self._seconds / THREADS
        if ahead >= self._most_waiting or time.monotonic() + expected > deadline:
            raise BusyError(
                f"busy: {ahead} images wait, about {expected:.0f} s of work; ask again later"
            )
        self._waiting += 1
        turn = asyncio.get_running_loop().run_in_executor(self._pool, self._timed, work, deadline)
        turn.add_done_callback(self._leave)
        try:
            # Shielded: a thread can't be stopped, and counts as busy until it ends.
            return await asyncio.wait_for(asyncio.shield(turn), deadline - time.monotonic())
        except TimeoutError:
            raise BusyError(f"busy: no answer in time, {self._waiting} images wait") from None

    def close(self) -> None:
        """Begin nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _timed(self, work: Callable[[], T], deadline: float) -> T:
        start = time.monotonic()
        if start >= deadline:
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
            turn.exception()  # whoever waited is gone after a timeout: nobody else will look at it
