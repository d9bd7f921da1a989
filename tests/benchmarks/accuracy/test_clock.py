"""The clock of a training: what a killed process trains again counts once."""

from pathlib import Path

import pytest

from benchmarks.accuracy import clock as module
from benchmarks.accuracy.clock import Clock


class _Time:
    """A time that a test moves on; the processor works for half of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        monkeypatch.setattr(module, "_now", lambda: (self.seconds, self.seconds / 2))

    def train(self, clock: Clock, first: int, last: int) -> None:
        """Train iterations of a second each."""
        for iteration in range(first, last + 1):
            self.seconds += 1
            clock.tick(iteration)


def test_iterations_that_are_trained_again_count_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = _Time(monkeypatch)
    path = tmp_path / "seconds.json"
    # Killed at 50, of which the clock knows 40; the training goes on from its checkpoint at 25.
    time.train(Clock(path), 1, 50)
    time.seconds += 1000
    with Clock(path) as clock:
        time.train(clock, 26, 30)
    # Up to the mark at 20, and the five that were trained now.
    assert (clock.seconds, clock.cpu_seconds) == (25, 12.5)
    # Interrupted at 30, where both know all.
    time.seconds += 1000
    with Clock(path) as clock:
        time.train(clock, 31, 100)
        time.seconds += 7
    assert clock.seconds == 25 + 70 + 7


def test_time_that_is_saved_between_iterations_stays_with_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = _Time(monkeypatch)
    path = tmp_path / "seconds.json"
    clock = Clock(path)
    time.train(clock, 1, 30)
    time.seconds += 9
    clock.save()
    # Killed at 45; the mining behind 30, and what was trained from there to 40, is not the same.
    time.train(clock, 31, 45)
    with Clock(path) as clock:
        time.train(clock, 31, 50)
    assert clock.seconds == 50 + 9


def test_a_finished_training_takes_no_more_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = _Time(monkeypatch)
    path = tmp_path / "seconds.json"
    with Clock(path) as clock:
        time.train(clock, 1, 3)
    with Clock(path) as clock:
        pass
    assert clock.seconds == 3
