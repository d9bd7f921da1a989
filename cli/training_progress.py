"""The progress of a training on the terminal: iterations, time left, losses, speed, memory."""

import statistics
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from sparsedet.training.data.pseudo_labels import PseudoLabels
from sparsedet.training.engine.callbacks import Callbacks, StageProgress
from sparsedet.training.engine.stage import LOG_PERIOD

from .output import draws, say

_SHORT_NAMES = {
    "total_loss": "loss",
    "loss_cls": "cls",
    "loss_box_reg": "box",
    "loss_rpn_cls": "rpn",
    "loss_rpn_loc": "rpn box",
    "distillation_loss": "self",
}
_WIDE = 165
"""Columns of a terminal that has room for every loss."""
_NARROW = 105
"""Columns of a terminal that has none for the bar."""
_LINE_PERIOD = 2 * LOG_PERIOD
"""Iterations between two lines where there is no terminal to draw on."""
_STEPS = 50
"""The latest steps, which the others are expected to be like."""
_PAUSE = 5.0
"""A step this many times slower than the median is left out: it included mining or validation."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a line of progress holds."""

    names: Mapping[str, str]
    """The losses to show, and what to call them."""
    gap: str
    """Between two figures."""
    columns: tuple[ProgressColumn, ...]

    @classmethod
    def of(cls, width: int) -> "Layout":
        """Return what has room in a line of so many characters."""
        has_bar = width >= _NARROW
        return cls(
            names=_SHORT_NAMES if width >= _WIDE else {"total_loss": "loss"},
            gap="  " if has_bar else " ",
            columns=(
                TextColumn("{task.description}"),
                *([BarColumn(bar_width=12)] if has_bar else []),
                MofNCompleteColumn(),
                *([TimeElapsedColumn()] if has_bar else []),
                TextColumn("left {task.fields[left]}"),
                TextColumn("{task.fields[figures]}"),
            ),
        )


@contextmanager
def training_progress() -> Iterator["TrainingProgress"]:
    """Yield what draws the progress of a run; without a terminal it prints a line now and then."""
    console = Console(stderr=True)
    drawn = draws()
    layout = Layout.of(console.width if drawn else _WIDE)
    with Progress(*layout.columns, console=console, disable=not drawn) as bars:
        yield TrainingProgress(bars, layout)


class TrainingProgress:
    """Draws a bar for the training and one for every mining."""

    def __init__(self, bars: Progress, layout: Layout) -> None:
        """Draw on `bars`, which have the columns of the layout."""
        self._bars = bars
        self._layout = layout
        self._tasks: dict[str, TaskID] = {}
        self._times: dict[str, TimeLeft] = {}

    def callbacks(self) -> Callbacks:
        """Return the callbacks that draw here."""
        return Callbacks(on_progress=self.iteration, on_mining=self.mining, on_mined=self.mined)

    def iteration(self, progress: StageProgress) -> None:
        """Show an iteration of a stage."""
        losses = [
            f"{short} {progress.losses[name]:.3f}"
            for name, short in self._layout.names.items()
            if name in progress.losses
        ]
        others = [
            f"lr {progress.learning_rate:.2g}",
            f"{progress.images_per_second:.1f} img/s",
            f"{progress.memory_bytes / 2**30:.1f} GiB",
        ]
        figures = self._layout.gap.join(losses + others)
        left = self._draw("training", progress.iteration, progress.iterations, figures)
        at_end = progress.iteration == progress.end
        if self._bars.disable and (progress.iteration % _LINE_PERIOD == 0 or at_end):
            done = f"{progress.stage} {progress.iteration}/{progress.iterations}"
            say(f"{done}  left {left}  {figures}")

    def mined(self, found: PseudoLabels) -> None:
        """Print what a stage found in the training images, and how it is used."""
        say(
            f"mined {len(found.labels)} boxes as labels; {len(found.ignored)} more are in doubt "
            "and ignored"
        )
        if found.left_out:
            say(
                f"{found.left_out} more are not used: too few labels seem to be missing "
                "(SPARSEDET.STAGED.MIN_MISSING 0.0 would use them)"
            )
        elif not found.labels:
            say("warning: without a mined box the next stage learns little new")

    def mining(self, done: int, total: int) -> None:
        """Show the mining between two stages."""
        if done == 1:
            self._tasks.pop("mining", None)
        self._draw("mining", done, total, "")

    def _draw(self, what: str, done: int, total: int, figures: str) -> str:
        """Draw a bar; return the time left."""
        left = shown(self._times.setdefault(what, TimeLeft()).after(done, total))
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total, left=left, figures=figures)
        self._bars.update(self._tasks[what], completed=done, left=left, figures=figures)
        return left


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
