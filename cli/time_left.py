"""What is under way, how long it still takes, and how times are written."""

import statistics
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

_STEPS = 50
"""The latest steps, which the others are expected to be like."""
_PAUSE = 5.0
"""A step this many times slower than the median is left out: it included mining or validation."""
_MINUTE, _HOUR = 60, 3600


@dataclass(frozen=True, slots=True)
class Work:
    """What is under way."""

    what: str
    done: int
    total: int
    """1 or less: there is nothing to count."""
    left: float | None = None
    """Seconds, where they are known."""
    figures: Sequence[str] = ()
    """The most important first: as many are shown as have room."""


class TimeLeft:
    """Estimates the time left from how long the latest steps took.

    Steps that were done before the first call don't count, as when a training is resumed.
    """

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_STEPS)
        self._last: tuple[int, float] | None = None

    def after(self, done: int, total: int, now: float | None = None) -> float | None:
        """Note that `done` steps of `total` are done; return the seconds left.

        Args:
            done: steps; fewer than in the last call where something new has begun.
            total: steps in all.
            now: seconds of a clock; None: `time.monotonic()`.

        Returns:
            None where no step's time is known yet.
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
    """Return a time as `H:MM:SS`, with days before it where there are some."""
    return "-:--:--" if seconds is None else str(timedelta(seconds=round(seconds)))


def roughly(seconds: float) -> str:
    """Return a time as people say it: `40 s`, `25 min`, `3 h 20 min`."""
    if seconds < 1.5 * _MINUTE:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / _MINUTE)
    if seconds < 1.5 * _HOUR:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
