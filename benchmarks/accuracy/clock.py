"""The time that a training takes, over interruptions and without what is trained again."""

import time
from pathlib import Path
from types import TracebackType

from sparsedet.atomic_io import read_json, write_json

_SAVE_PERIOD = 20
"""Iterations between two savings: a killed process loses the time of so many."""


class Clock:
    """Counts seconds, and the processor's, of the iterations that made the result.

    A killed training goes on from a checkpoint, and trains the iterations behind it a second time:
    the clock then goes back to where it stood at that iteration.
    """

    def __init__(self, path: Path) -> None:
        """Take the file that keeps the time."""
        self._path = path
        marks = read_json(path) if path.exists() else [[0, 0.0, 0.0]]
        self._marks: list[tuple[int, float, float]] = [
            (int(iteration), float(seconds), float(cpu)) for iteration, seconds, cpu in marks
        ]
        self._iteration = self._marks[-1][0]
        self._goes_on = True
        _, self.seconds, self.cpu_seconds = self._marks[-1]
        self._last = _now()

    def __enter__(self) -> "Clock":
        self._last = _now()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.save()

    def tick(self, iteration: int) -> None:
        """Note that an iteration is done, counted from 1."""
        self._add()
        if self._goes_on:
            self._go_back(iteration - 1)
            self._goes_on = False
        self._iteration = iteration
        if iteration % _SAVE_PERIOD == 0:
            self.save()

    def save(self) -> None:
        """Keep the time that was spent up to now with the last iteration."""
        self._add()
        earlier = [mark for mark in self._marks if mark[0] < self._iteration]
        self._marks = [*earlier, (self._iteration, self.seconds, self.cpu_seconds)]
        write_json(self._path, self._marks)

    def _go_back(self, iteration: int) -> None:
        """Take off what was spent behind `iteration` before this process began."""
        known = self._marks[-1]
        self._marks = [mark for mark in self._marks if mark[0] <= iteration]
        self.seconds -= known[1] - self._marks[-1][1]
        self.cpu_seconds -= known[2] - self._marks[-1][2]

    def _add(self) -> None:
        now = _now()
        self.seconds += now[0] - self._last[0]
        self.cpu_seconds += now[1] - self._last[1]
        self._last = now


def _now() -> tuple[float, float]:
    return time.monotonic(), time.process_time()
