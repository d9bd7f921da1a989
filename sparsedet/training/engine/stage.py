"""A training stage: a part of a run's iterations on the same images, resumable."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from types import FrameType

from sparsedet.config.training_config import TrainingConfig
from sparsedet.errors import RunError, StoppedRunError
from sparsedet.modeling.inputs import PixelCache
from sparsedet.run_folder import RunFolder
from sparsedet.runtime import processes
from sparsedet.runtime.launched import is_launched
from sparsedet.runtime.resources import peak_memory
from sparsedet.training.data.loader import Batch, batches, lost_workers_reported
from sparsedet.training.data.packed_dataset import TrainingImage
from sparsedet.training.engine.best_checkpoint import Validator
from sparsedet.training.engine.callbacks import Callbacks, StageProgress
from sparsedet.training.engine.checkpoints import StageCheckpoints, State
from sparsedet.training.engine.metrics import MetricsLog, Throughput
from sparsedet.training.engine.trainer import Trainer, Weights

LOG_PERIOD = 20
"""Iterations between two lines of `metrics.json`."""
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run's iterations."""

    name: str
    start: int
    """First iteration, counted from 0."""
    end: int
    """End iteration (exclusive)."""
    previous: str | None = None
    """The stage whose weights this one starts from; None: initial weights."""


def train_stage(
    stage: Stage,
    images: Sequence[TrainingImage],
    config: TrainingConfig,
    run: RunFolder,
    *,
    seed: int,
    classes: Sequence[str] = (),
    validator: Validator | None = None,
    cache: PixelCache | None = None,
    callbacks: Callbacks | None = None,
) -> Weights:
    """Train the configured model on `images`, resuming from the stage's checkpoint if it exists.

    On Ctrl-C, SIGTERM, or when the terminal is closed, the stage finishes its iteration and saves a
    checkpoint.

    Args:
        stage: which iterations.
        images: the training images.
        config: the configuration.
        run: the run folder.
        seed: seed of all random draws.
        classes: names of the model's classes, for matching initial weights.
        validator: evaluates during training, keeps the best weights, and may stop the stage early.
        cache: cache of decoded images; None: every image is decoded.
        callbacks: called for iterations, an early stop and undecodable images.

    Returns:
        The weights: with SOLVER.EMA_DECAY, their moving average.

    Raises:
        TrainingError: when a loss is not finite, naming the batch's images.
        ConfigError: when the batch can't be split between the processes.
    """
    callbacks = callbacks or Callbacks()
    training = _StageTraining(stage, config, run, seed, classes)
    trainer = training.trainer
    at_end = stage.end == config.solver.max_iter
    with lost_workers_reported(), deferred_interrupt() as interrupted, closing(training.log):
        for batch in batches(
            images,
            config,
            seed=seed,
            start=trainer.iteration,
            end=stage.end,
            rank=processes.rank(),
            ranks=processes.ranks(),
            cache=cache,
            on_unreadable=callbacks.on_unreadable,
        ):
            if at_end and validator is not None:
                stop = validator.early_stop(trainer.iteration, stage.start)
                if stop is not None:
                    callbacks.on_early_stop(stop)
                    break
            callbacks.on_progress(training.step(batch))
            if validator is not None and validator.is_due(trainer.iteration):
                training.measure(validator)
            # After validation: a run that resumes here has been validated.
            training.save_where_due()
            if processes.any_true(interrupted(), trainer.device):
                training.save()
                raise KeyboardInterrupt
    training.save()
    return trainer.weights()


class _StageTraining:
    """A trainer in one of a run's stages, with the files that it writes."""

    def __init__(
        self,
        stage: Stage,
        config: TrainingConfig,
        run: RunFolder,
        seed: int,
        classes: Sequence[str],
    ) -> None:
        self.stage = stage
        self.solver = config.solver
        self.checkpoints = StageCheckpoints(run, stage.name, kept=self.solver.checkpoints_kept)
        self.trainer = Trainer(config, seed)
        self.sums: dict[str, float] = {}
        state = self.checkpoints.read()
        if state is None and stage.previous is not None:
            state = _end_of(stage.previous, stage, run)
        if state is not None:
            _check_state(state, stage, run)
            self.sums = state.get("sums", {})
        self.trainer.start(state, stage.start, classes)
        if len(set(processes.gather(self.trainer.iteration))) > 1:
            raise StoppedRunError(
                f"{run.root}: the processes see different states of the run; put it on a disk that "
                "all of them share"
            )
        self.log = MetricsLog(run.metrics, run.tensorboard, stage.name, self.trainer.iteration)
        self.last_save = time.monotonic()
        self.throughput = Throughput(LOG_PERIOD)

    def save(self) -> None:
        """Write a checkpoint, atomically."""
        if processes.is_first():
            self.checkpoints.write({**self.trainer.state(), "sums": self.sums})
        self.last_save = time.monotonic()

    def save_where_due(self) -> None:
        """Save a checkpoint at every period of iterations or time."""
        due = time.monotonic() - self.last_save > self.solver.checkpoint_seconds
        if due or self.trainer.iteration % self.solver.checkpoint_period == 0:
            self.save()

    def step(self, batch: Batch) -> StageProgress:
        """Train one iteration, and log if it is time to."""
        rate = self.trainer.learning_rate
        losses = self.trainer.step(batch)
        iteration = self.trainer.iteration
        self.throughput.add(self.solver.batch_size)
        progress = StageProgress(
            self.stage.name,
            iteration,
            self.stage.end,
            self.solver.max_iter,
            losses,
            learning_rate=rate,
            images_per_second=self.throughput.images_per_second,
            memory_bytes=peak_memory(self.trainer.device),
        )
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        if iteration % LOG_PERIOD == 0 or iteration == self.stage.end:
            self._log(progress)
        return progress

    def measure(self, validator: Validator) -> None:
        """Evaluate the weights, and log the metric."""
        iteration = self.trainer.iteration
        self.log.write(iteration, validator.measure(self.trainer.weights(), iteration))
        self.throughput.skip_pause()

    def _log(self, progress: StageProgress) -> None:
        iteration = progress.iteration
        count = min((iteration - 1) % LOG_PERIOD + 1, iteration - self.stage.start)
        means = {name: value / count for name, value in self.sums.items()}
        self.log.write(
            iteration,
            {
                **means,
                "lr": progress.learning_rate,
                "seconds_per_iteration": self.throughput.seconds_per_iteration,
                "images_per_second": progress.images_per_second,
                "memory_mib": progress.memory_bytes / _MIB,
            },
        )
        self.sums = {}


def _end_of(previous: str, stage: Stage, run: RunFolder) -> State:
    """Return the last state of the stage before.

    Raises:
        RunError: when its checkpoint is gone. Initial weights would not do.
    """
    checkpoints = StageCheckpoints(run, previous)
    state = checkpoints.read()
    if state is None or state["iteration"] < stage.start:
        raise RunError(
            f"{checkpoints.newest}: missing or damaged, and {stage.name} starts from it; restore "
            f"it, or remove {run.mining / previous}.json to train {previous} again"
        )
    return state


def _check_state(state: State, stage: Stage, run: RunFolder) -> None:
    """Refuse a checkpoint of an iteration outside the stage: the configuration was changed."""
    iteration = state["iteration"]
    if not stage.start <= iteration <= stage.end:
        raise RunError(
            f"{run.root}: the checkpoint is of iteration {iteration}, and {stage.name} has "
            f"{stage.start} to {stage.end}; restore config.yaml, or start another run with "
            "another -o (a round: `sparsedet round --restart`)"
        )


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Hold Ctrl-C, SIGTERM and SIGHUP back; yield a function that says whether one has arrived.

    An interrupt within an iteration would leave weights, optimiser and counter inconsistent. A
    second one is not held back, except SIGHUP, which a shell sends again, and in a launcher's
    processes: there the launcher forwards what the terminal has already sent them. Outside the main
    thread, where Python delivers no signals, nothing is held back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came = threading.Event()
    previous = {number: signal.getsignal(number) for number in _SIGNALS}
    if previous[signal.SIGHUP] == signal.SIG_IGN:  # by nohup
        del previous[signal.SIGHUP]

    def restore(*kept: int) -> None:
        for number, handler in previous.items():
            if number not in kept:
                signal.signal(number, handler)

    def note(_number: int, _frame: FrameType | None) -> None:
        came.set()
        if not is_launched():
            restore(signal.SIGHUP)

    for number in previous:
        signal.signal(number, note)
    try:
        yield came.is_set
    finally:
        restore()
