"""The progress of a training on the terminal: losses, iterations, time left."""

import sys
from collections.abc import Iterator, Mapping
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

from sparsedet.training.pseudo_labels import PseudoLabels
from sparsedet.training.stage import LOG_PERIOD, StageProgress
from sparsedet.training.train import Listeners

from .output import say

_SHORT_NAMES = {
    "total_loss": "loss",
    "loss_cls": "cls",
    "loss_box_reg": "box",
    "loss_rpn_cls": "rpn",
    "loss_rpn_loc": "rpn box",
    "distillation_loss": "self",
}
_WIDE = 120
"""Columns of a terminal that has room for every loss."""
_LINE_PERIOD = 2 * LOG_PERIOD
"""Iterations between two lines where there is no terminal to draw on."""


@contextmanager
def training_progress() -> Iterator["TrainingProgress"]:
    """Yield what draws the progress of a run; without a terminal it prints a line now and then."""
    console = Console(stderr=True)
    draws = sys.stderr.isatty()
    names = {"total_loss": "loss"} if draws and console.width < _WIDE else _SHORT_NAMES
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
        console=console,
        disable=not draws,
    ) as bars:
        yield TrainingProgress(bars, names)


class TrainingProgress:
    """Draws a bar for the training and one for every mining."""

    def __init__(self, bars: Progress, names: Mapping[str, str]) -> None:
        """Draw on `bars`; `names` are the losses to show, and what to call them."""
        self._bars = bars
        self._names = names
        self._tasks: dict[str, TaskID] = {}

    def listeners(self) -> Listeners:
        """Return the listeners that draw here."""
        return Listeners(on_progress=self.iteration, on_mining=self.mining, on_mined=self.mined)

    def iteration(self, progress: StageProgress) -> None:
        """Show an iteration of a stage."""
        losses = "  ".join(
            f"{short} {progress.losses[name]:.3f}"
            for name, short in self._names.items()
            if name in progress.losses
        )
        self._draw("training", progress.iteration, progress.iterations, losses)
        at_end = progress.iteration == progress.end
        if self._bars.disable and (progress.iteration % _LINE_PERIOD == 0 or at_end):
            say(f"{progress.stage} {progress.iteration}/{progress.iterations}  {losses}")

    def mined(self, found: PseudoLabels) -> None:
        """Tell what a stage found in the training images, and what becomes of it."""
        objects = f", {len(found.objects)} as objects of some class" if found.objects else ""
        say(
            f"mined {len(found.labels)} boxes as labels{objects}; {len(found.doubtful)} more are "
            "in doubt and ignored"
        )
        if not found.labels and not found.objects:
            say("warning: without a mined box the next stage learns little new")

    def mining(self, done: int, total: int) -> None:
        """Show the mining between two stages."""
        if done == 1:
            self._tasks.pop("mining", None)
        self._draw("mining", done, total, "")

    def _draw(self, what: str, done: int, total: int, losses: str) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total, losses="")
        self._bars.update(self._tasks[what], completed=done, losses=losses)
