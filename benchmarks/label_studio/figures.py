"""The measurements as ratios, with their targets."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from .raw import WriteSeconds
from .round_log import RoundLog
from .setting import Size
from .steps import Cost

MOST_READING, LEAST_FASTER = 1.25, 5.0
MOST_WRITING, LEAST_RATE, MOST_SECOND = 2.5, 10.0, 0.5
MOST_MEMORY, MOST_BOOKKEEPING = 25.0, 0.05
"""Kilobytes per task, and share of a round."""


@dataclass
class Measured:
    """All measurements; entries at the same index of the lists were made in the same turn."""

    size: Size
    first_pull: Cost | None = None
    """With all images."""
    reads: list[float] = field(default_factory=list)
    pulls: list[Cost] = field(default_factory=list)
    """With cached images."""
    changed_pull: Cost | None = None
    changed: int = 0
    """Number of tasks whose annotations were changed before that."""
    writes: list[WriteSeconds] = field(default_factory=list)
    pushes: list[Cost] = field(default_factory=list)
    second_pushes: list[Cost] = field(default_factory=list)
    round: RoundLog | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    what: str
    measured: str
    target: str = ""
    met: bool | None = None


def rows(found: Measured) -> list[Row]:
    """Return the lines of the table."""
    return [*_pull_rows(found), *_push_rows(found), *_round_rows(found)]


def table(lines: Sequence[Row], title: str) -> str:
    """Return the lines as a Markdown table."""
    head = [title, "", "| | measured | target | |", "|---|---|---|---|"]
    marks = {None: "", True: "met", False: "missed"}
    body = [f"| {row.what} | {row.measured} | {row.target} | {marks[row.met]} |" for row in lines]
    return "\n".join([*head, *body]) + "\n"


def as_json(found: Measured) -> dict[str, Any]:
    """Return the raw measurements."""
    from dataclasses import asdict

    return asdict(found)


def _pull_rows(found: Measured) -> list[Row]:
    lines = []
    if found.first_pull is not None:
        rate = found.size.tasks / found.first_pull.seconds
        seconds = f"{found.first_pull.seconds:.1f} s, {rate:.0f} images/s"
        lines.append(Row("first pull, with all images", seconds))
    if found.pulls:
        ratios = [cost.seconds / read for cost, read in zip(found.pulls, found.reads, strict=True)]
        lines += [
            Row("JSON export and listing of predictions alone", _seconds(found.reads)),
            Row("pull, images there", _seconds([cost.seconds for cost in found.pulls])),
            _most("pull / export and listing", ratios, MOST_READING),
        ]
    if found.first_pull is not None and found.changed_pull is not None:
        faster = found.first_pull.seconds / found.changed_pull.seconds
        what = f"first pull / second pull with {found.changed} tasks changed"
        lines.append(_least(what, [faster], LEAST_FASTER))
    return lines + _memory("pull", found.pulls, found.size)


def _push_rows(found: Measured) -> list[Row]:
    if not found.pushes:
        return []
    seconds = [cost.seconds for cost in found.pushes]
    pairs = list(zip(seconds, found.writes, strict=True))
    seconds_again = [cost.seconds for cost in found.second_pushes]
    again = [second / first for second, first in zip(seconds_again, seconds, strict=True)]
    rate = [write.one_by_one / push for push, write in pairs]
    bulk = [write.bulk for write in found.writes]
    return [
        Row("bulk calls alone", _seconds(bulk)),
        Row("one by one, extrapolated", _seconds([write.one_by_one for write in found.writes])),
        Row("push", _seconds(seconds)),
        Row("second push, nothing changed", _seconds(seconds_again)),
        _most("push / bulk calls", [push / write.bulk for push, write in pairs], MOST_WRITING),
        _least("rate of a push / one by one", rate, LEAST_RATE),
        _most("second push / first", again, MOST_SECOND),
        *_memory("push", [*found.pushes, *found.second_pushes], found.size),
    ]


def _round_rows(found: Measured) -> list[Row]:
    if found.round is None:
        return []
    own = found.round.bookkeeping
    spent = f"{own:.1f} s of {found.round.images} images"
    share = found.round.share
    target = f"< {MOST_BOOKKEEPING:.0%}"
    met = share < MOST_BOOKKEEPING
    return [
        Row("a round's bookkeeping", spent),
        Row("its share of a round", f"{share:.1%}", target, met),
    ]


def _memory(step: str, costs: Sequence[Cost], size: Size) -> list[Row]:
    if not costs:
        return []
    most = max(cost.memory for cost in costs) / size.tasks / 1000
    target = f"at most {MOST_MEMORY:.0f} kB"
    return [Row(f"{step}: memory for each task", f"{most:.1f} kB", target, most <= MOST_MEMORY)]


def _most(what: str, values: Sequence[float], target: float) -> Row:
    found = median(values)
    return Row(what, f"{found:.2f}", f"at most {target:g}", found <= target)


def _least(what: str, values: Sequence[float], target: float) -> Row:
    found = median(values)
    return Row(what, f"{found:.1f}", f"at least {target:g}", found >= target)


def _seconds(values: Sequence[float]) -> str:
    return f"{median(values):.1f} s"
