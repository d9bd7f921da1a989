"""Work in progress, its estimated time left, and formatting of times."""

import statistics
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

_STEPS = 50
"""Number of latest steps that the estimate is based on."""
_PAUSE = 5.0
"""Steps this many times slower than the median are ignored: they include mining or validation."""


@dataclass(frozen=True, slots=True)
class Work:
    """Work in progress."""

    what: str
    done: int
    total: int
    """1 or less if there is nothing to count."""
    left: float | None = None
    """Estimated seconds; None if unknown."""
    figures: Sequence[str] = ()
    """Most important first; those that fit are shown."""


class TimeLeft:
    """Estimates the time left from the duration of the latest steps.

    Steps before the first call don't count, since training may have been resumed.
    """

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_STEPS)
        self._last: tuple[int, float] | None = None

    def after(self, done: int, total: int, now: float | None = None) -> float | None:
        """Note that `done` steps of `total` are done; return the seconds left.

        Args:
            done: finished steps; fewer than in the last call if other work has begun.
            total: steps in all.
            now: clock time in seconds; default `time.monotonic()`.

        Returns:
            None if no step has been timed yet.
        """
        now = time.monotonic() if now is None else now
        steps_before, before = self._last or (done, now)
        self._last = done, now
        if done > steps_before:
            self._seconds.append((now - before) / (done - steps_before))
        if not self._seconds:
            return None
        most = statistics.median(self._seconds)
        usual = [seconds for seconds in self._seconds if seconds <= _PAUSE * most]
        return statistics.fmean(usual) * (total - done)


def shown(seconds: float | None) -> str:
    """Return a time as `H:MM:SS`, with days in front if needed."""
    return "-:--:--" if seconds is None else str(timedelta(seconds=round(seconds)))
