"""The progress of a training on the terminal: losses, iterations, time left."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sparsedet.training.stage import LOG_PERIOD, StageProgress

from .output import say

_SHORT_NAMES = {
    "total_loss": "loss",
    "loss_cls": "cls",
    "loss_box_reg": "box",
    "loss_rpn_cls": "rpn",
    "loss_rpn_loc": "rpn box",
    "distillation_loss": "self",
}
_LINE_PERIOD = 5 * LOG_PERIOD
"""Iterations between two lines where there is no terminal to draw on."""


@contextmanager
def training_progress() -> Iterator["TrainingProgress"]:
    """Yield what draws the progress of a run; without a terminal it prints a line now and then."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    ) as bars:
        yield TrainingProgress(bars)


class TrainingProgress:
    """Draws one bar per stage."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def iteration(self, progress: StageProgress) -> None:
        """Show an iteration of a stage."""
        losses = "  ".join(
            f"{short} {progress.losses[name]:.3f}"
            for name, short in _SHORT_NAMES.items()
            if name in progress.losses
        )
        self._draw(progress.stage, progress.iteration, progress.iterations, losses)
        at_end = progress.iteration == progress.iterations
        if self._bars.disable and (progress.iteration % _LINE_PERIOD == 0 or at_end):
            say(f"{progress.stage} {progress.iteration}/{progress.iterations}  {losses}")

    def mining(self, done: int, total: int) -> None:
        """Show the mining between two stages."""
        self._draw("mining", done, total, "")

    def _draw(self, what: str, done: int, total: int, losses: str) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total, losses="")
        self._bars.update(self._tasks[what], completed=done, losses=losses)
