"""The estimated time left, from the duration of the latest steps."""

from collections.abc import Iterator

import pytest

from sparsedet.cli.time_left import TimeLeft, shown


def times(*steps: tuple[int, float], total: int = 1000) -> Iterator[float | None]:
    """Yield the seconds left behind every step: (number of steps done, clock)."""
    left = TimeLeft()
    for done, clock in steps:
        yield left.after(done, total, clock)


def test_the_time_left_is_that_of_the_latest_steps() -> None:
    assert list(times((1, 10.0), (2, 12.0), (3, 16.0))) == [None, 2.0 * 998, 3.0 * 997]
    # 60 steps of 4 seconds, then 50 of 1 second: the former are forgotten.
    steps = [(n, 4.0 * n) for n in range(60)] + [(60 + n, 240.0 + n) for n in range(51)]
    assert list(times(*steps))[-1] == 1.0 * (1000 - 110)


def test_resuming_counts_no_step_that_was_done_before() -> None:
    assert list(times((401, 0.0), (402, 2.0))) == [None, 2.0 * 598]


def test_a_pause_is_no_step() -> None:
    """Half an hour of mining between two steps of a second."""
    before = [(n, float(n)) for n in range(1, 11)]
    after = [(n, 1800.0 + n) for n in range(11, 14)]
    assert list(times(*before, *after))[-3:] == [989.0, 988.0, 987.0]


def test_another_run_starts_from_nothing() -> None:
    assert list(times((999, 0.0), (1000, 1.0), (1, 500.0), (2, 501.0)))[2:] == [999.0, 998.0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-:--:--"), (0.2, "0:00:00"), (59.6, "0:01:00"), (90_000.0, "1 day, 1:00:00")],
)
def test_times_are_shown_in_hours(seconds: float | None, text: str) -> None:
    assert shown(seconds) == text
