"""The figures as rows of a table, each with its target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from .inference import CACHED, DECODED, InferenceTimes
from .steps import (
    ALL_TRAINED,
    BEFORE_MINING,
    CONTIGUOUS,
    LATER_STAGE,
    MINING,
    PLAIN,
    STAGE_1,
    StepTimes,
)
from .subprocesses import ONE_CORE, Layout, Memory

STEP_TARGETS = {STAGE_1: 1.15, LATER_STAGE: 1.15, BEFORE_MINING: 1.9, MINING: 1.9}
INFERENCE_TARGETS = {"staged": 1.05, "end-to-end": 1.05}
MEMORY_TARGETS = {"staged": 1.2, "end-to-end": 1.9}


@dataclass(frozen=True)
class Ratio:
    """A ratio to a base."""

    median: float
    low: float
    """The lower quartile."""
    high: float
    """The upper quartile."""

    def __str__(self) -> str:
        """Return the text in the table."""
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def paired_ratio(values: Sequence[float], base: Sequence[float]) -> Ratio:
    """Return the median and quartiles of `values[i] / base[i]`, one per round."""
    ratios = np.divide(np.asarray(values), np.asarray(base, dtype=float))
    low, median, high = (float(value) for value in np.percentile(ratios, [25, 50, 75]))
    return Ratio(median, low, high)


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    measured: str
    target: str = ""
    met: bool | None = None
    """None: no target."""


def step_rows(times: StepTimes) -> list[Row]:
    """Return the cost of steps, and the gain of design choices that make them cheap."""
    seconds, rounds = times.seconds, len(times.seconds[PLAIN])
    rows = _ratio_rows("step", seconds, STEP_TARGETS)
    rows.append(Row("steps while mining that mined something", f"{times.mining_steps} of {rounds}"))
    rows += _gain_rows("step", seconds, PLAIN, [CONTIGUOUS, ALL_TRAINED])
    gradients = times.frozen_gradients
    measured = f"{gradients} of {times.frozen_parameters}"
    rows.append(Row("frozen parameters with a gradient", measured, "0", gradients == 0))
    return rows


def total_rows(totals: Mapping[str, float], iterations: int) -> list[Row]:
    """Return the cost of whole trainings."""
    plain = totals[PLAIN]
    return [
        Row(
            f"{iterations} iterations, mining included: {method}",
            f"{seconds / plain:.2f} ({seconds:.0f} s)",
        )
        for method, seconds in totals.items()
    ]


def part_rows(costs: Mapping[str, float], iterations: int) -> list[Row]:
    """Return the cost of each part of `staged` as a ratio."""
    return [
        Row(f"{iterations} iterations, mining included: staged / {name}", f"{cost:.2f}")
        for name, cost in costs.items()
    ]


def inference_rows(times: InferenceTimes) -> list[Row]:
    """Return the cost of detection, and whether it is repeatable."""
    rows = _ratio_rows("inference", times.seconds, INFERENCE_TARGETS)
    rows += _gain_rows("inference", times.seconds, PLAIN, [CONTIGUOUS])
    rows += [
        Row(f"inference twice, equal to the last bit: {name}", _yes(equal), "yes", equal)
        for name, equal in times.repeatable.items()
        if name in (PLAIN, *INFERENCE_TARGETS)
    ]
    return rows


def memory_rows(memories: Mapping[str, Memory]) -> list[Row]:
    """Return the memory of trainings beyond the process with its model."""
    base = memories[PLAIN].above
    rows = [Row(f"memory: {PLAIN}", f"{base:.0f} MiB")]
    for method, target in MEMORY_TARGETS.items():
        above = memories[method].above
        ratio = above / base
        rows.append(
            Row(f"memory: {method}", f"{ratio:.2f} ({above:.0f} MiB)", f"{target}", ratio <= target)
        )
    rows.append(Row("minings of staged in that run", f"{memories['staged'].minings}"))
    return rows


def loading_rows(seconds: Mapping[str, list[float]], steps: Sequence[float]) -> list[Row]:
    """Return the cost of loading a batch, and its share of a step."""
    share = 100 * median(seconds[CACHED]) / median(steps)
    return [
        Row(f"loading: {CACHED}", f"{1000 * median(seconds[CACHED]):.1f} ms per batch"),
        Row("loading: its share of a step", f"{share:.1f} %"),
        *_gain_rows("loading", seconds, CACHED, [DECODED]),
    ]


def scaling_rows(seconds: Mapping[Layout, float]) -> list[Row]:
    """Return the gain of a second core, used by a thread or by a process."""
    base = seconds[ONE_CORE]
    return [Row(f"step: {ONE_CORE}", f"{1000 * base:.0f} ms")] + [
        Row(f"steps per second: {layout}", f"{base / value:.2f} ({1000 * value:.0f} ms)")
        for layout, value in seconds.items()
        if layout != ONE_CORE
    ]


def table(rows: Sequence[Row], title: str) -> str:
    """Return the rows as Markdown."""
    lines = [f"# {title}", "", "| | measured | at most | met |", "|---|---|---|---|"]
    for row in rows:
        met = "" if row.met is None else _yes(row.met)
        lines.append(f"| {row.what} | {row.measured} | {row.target} | {met} |")
    return "\n".join(lines) + "\n"


def _ratio_rows(
    kind: str, seconds: Mapping[str, list[float]], targets: Mapping[str, float]
) -> list[Row]:
    """Return the time of `PLAIN`, and for each target the ratio of its variant."""
    rows = [Row(f"{kind}: {PLAIN}", f"{1000 * median(seconds[PLAIN]):.0f} ms")]
    for name, target in targets.items():
        ratio = paired_ratio(seconds[name], seconds[PLAIN])
        rows.append(Row(f"{kind}: {name}", str(ratio), str(target), ratio.median <= target))
    return rows


def _gain_rows(
    kind: str, seconds: Mapping[str, list[float]], base: str, others: Sequence[str]
) -> list[Row]:
    """Return the ratio of each of `others`."""
    rows = []
    for name in others:
        ratio = paired_ratio(seconds[name], seconds[base])
        rows.append(Row(f"{kind}: {name}", str(ratio), "more than 1", ratio.median > 1))
    return rows


def _yes(value: bool) -> str:
    return "yes" if value else "no"
