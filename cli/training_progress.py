"""Training progress: time left, iterations, losses, speed, memory."""

import time
from collections.abc import Mapping

from sparsedet.training.data.pseudo_labels import PseudoLabels
from sparsedet.training.engine.callbacks import Callbacks, EarlyStop, StageProgress
from sparsedet.training.engine.stage import LOG_PERIOD
from sparsedet.wording import counted, roughly

from .display import Display
from .time_left import TimeLeft, Work, shown

_LOSSES: Mapping[str, str] = {
    "total_loss": "loss",
    "loss_cls": "cls",
    "loss_box_reg": "box",
    "loss_rpn_cls": "rpn",
    "loss_rpn_loc": "rpn box",
    "distillation_loss": "self",
}
_LINE_PERIOD = 2 * LOG_PERIOD
"""Iterations between progress lines when there is no terminal."""
_MEASURED = 10
"""Iterations to measure before announcing the training time."""
_LONG = 600.0
"""Training time in seconds from which advice on shortening it is given."""


class TrainingProgress:
    """Shows training progress on the display.

    Args:
        display: the live display.
        shorter: advice on how to shorten a long training.
    """

    def __init__(self, display: Display, shorter: str = "") -> None:
        self._display = display
        self._shorter = shorter
        self._left = TimeLeft()
        self._first: tuple[int, float] | None = None
        self._is_announced = False

    def callbacks(self) -> Callbacks:
        """Return callbacks for training progress."""
        return Callbacks(
            on_progress=self.iteration,
            on_mining=self.mining,
            on_mined=self.mined,
            on_early_stop=self.stopped,
        )

    def iteration(self, progress: StageProgress) -> None:
        """Show an iteration of a stage."""
        if self._first is None or progress.iteration <= self._first[0]:
            # A new run: the demo has several.
            self._first = progress.iteration, time.monotonic()
            self._left, self._is_announced = TimeLeft(), False
        left = self._left.after(progress.iteration, progress.iterations)
        self._announce(progress, left, self._first[0])
        loss, *losses = (
            f"{short} {progress.losses[name]:.3f}"
            for name, short in _LOSSES.items()
            if name in progress.losses
        )
        speed = f"{progress.images_per_second:.1f} img/s"
        memory = f"{progress.memory_bytes / 2**30:.1f} GiB"
        rate = f"lr {progress.learning_rate:.2g}"
        done, total = progress.iteration, progress.iterations
        figures = (loss, speed, memory, rate, *losses)
        self._display.show(Work("training", done, total, left, figures))
        at_end = progress.iteration == progress.end
        if not self._display.is_drawn and (done % _LINE_PERIOD == 0 or at_end):
            line = (f"{progress.stage} {done}/{total}", f"left {shown(left)}", *figures)
            self._display.say("  ".join(line))
        if done == total:
            first, begun = self._first
            took = shown(time.monotonic() - begun)
            self._display.say(f"trained {counted(done - first + 1, 'iteration')} in {took}")

    def mined(self, found: PseudoLabels) -> None:
        """Print what a stage mined in the training images, and how it is used."""
        say = self._display.say
        is_soft = any(weight < 1 for weight in found.weights)
        right = f", about {found.expected:.0f} of them right" if is_soft else ""
        say(
            f"mined {counted(len(found.labels), 'box')} as labels{right}; "
            f"{counted(len(found.ignored), 'doubtful one is', 'doubtful ones are')} ignored"
        )
        if found.left_out:
            say(
                f"{counted(found.left_out, 'more is', 'more are')} not used, because too few "
                "labels seem to be missing (SPARSEDET.STAGED.MIN_MISSING 0.0 uses them)"
            )
        elif not found.labels:
            say("warning: without mined boxes, the next stage learns little")

    def stopped(self, stop: EarlyStop) -> None:
        """Print at which iteration a training stops early, and why."""
        self._display.clear()
        self._display.say(
            f"stopped at iteration {stop.iteration} of {stop.iterations}: no better {stop.measure} "
            f"than {stop.best:.1f}, at iteration {stop.best_iteration}, whose weights are kept "
            f"(SPARSEDET.VALIDATION.PATIENCE {stop.patience})"
        )

    def mining(self, done: int, total: int) -> None:
        """Show mining between two stages."""
        self._display.progress("mining the training images", done, total)

    def _announce(self, progress: StageProgress, left: float | None, first: int) -> None:
        """Announce the training time once, after a few measured iterations."""
        measured, rest = progress.iteration - first, progress.iterations - progress.iteration
        enough = min(_MEASURED, (progress.iterations - first) // 2)
        if self._is_announced or left is None or measured < max(enough, 1) or not rest:
            return
        self._is_announced = True
        mining = "; mining in between is not counted" if progress.end < progress.iterations else ""
        self._display.say(
            f"training takes about {roughly(left)}: {counted(rest, 'more iteration')} of "
            f"{left / rest:.2g} s, measured over the first {measured}{mining}"
        )
        if self._shorter and left > _LONG:
            self._display.say(self._shorter)
