"""One training stage: a part of a run's iterations on the same images, resumable."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from types import FrameType

from detectron2.config import CfgNode

from sparsedet.errors import RunError
from sparsedet.modeling.inputs import PixelCache
from sparsedet.runtime import processes
from sparsedet.runtime.launched import is_launched
from sparsedet.runtime.resources import peak_memory
from sparsedet.runtime.unreadable import OnUnreadable, warn_unreadable
from sparsedet.training.config.loading import younger_keys
from sparsedet.training.data.loader import Batch, batches, lost_loaders_told
from sparsedet.training.data.samples import TrainingImage
from sparsedet.training.engine.best_checkpoint import Validator
from sparsedet.training.engine.checkpoints import StageCheckpoints, State
from sparsedet.training.engine.metrics import MetricsLog, Throughput
from sparsedet.training.engine.trainer import Trainer, Weights
from sparsedet.training.run_folder import RunFolder

LOG_PERIOD = 20
"""Iterations between two lines of `metrics.json`."""
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run's iterations."""

    name: str
    start: int
    """The first iteration, counted from 0."""
    end: int
    """Behind the last iteration."""
    previous: str | None = None
    """The stage whose state this one goes on from; None: initial weights."""


@dataclass(frozen=True, slots=True)
class StageProgress:
    """Where a run stands, told after every iteration."""

    stage: str
    iteration: int
    """Iterations of the run that are done, those of earlier stages included."""
    end: int
    """Iterations at the end of the stage."""
    iterations: int
    """Iterations of the run in all."""
    losses: dict[str, float]
    """Of this iteration, by name; `total_loss` is their sum."""
    learning_rate: float
    """Of this iteration."""
    images_per_second: float
    """Over the last `LOG_PERIOD` iterations, of all processes together."""
    memory_bytes: int
    """The most that this process has taken so far; see `peak_memory`."""


OnProgress = Callable[[StageProgress], None]


def train_stage(
    stage: Stage,
    images: Sequence[TrainingImage],
    cfg: CfgNode,
    run: RunFolder,
    *,
    seed: int,
    on_progress: OnProgress,
    validator: Validator | None = None,
    cache: PixelCache | None = None,
    on_unreadable: OnUnreadable = warn_unreadable,
) -> Weights:
    """Train cfg's model on `images`, going on from the stage's checkpoint where there is one.

    Interrupted by Ctrl-C or SIGTERM, the stage finishes its iteration and saves its state.

    Args:
        stage: which iterations.
        images: to train on.
        cfg: the configuration.
        run: the run folder.
        seed: of every draw.
        on_progress: told after every iteration.
        validator: measures on the way, keeps the best weights, and may end the stage early.

    Returns:
        The weights: with SOLVER.EMA_DECAY their moving average.

    Raises:
        TrainingError: when a loss is not finite, naming the batch's images.
        ConfigError: when the batch can't be parted between the processes.
    """
    training = _StageTraining(stage, cfg, run, seed)
    trainer = training.trainer
    at_end = stage.end == cfg.SOLVER.MAX_ITER
    with lost_loaders_told(), deferred_interrupt() as interrupted, closing(training.log):
        for batch in batches(
            images,
            cfg,
            seed=seed,
            start=trainer.iteration,
            end=stage.end,
            rank=processes.rank(),
            ranks=processes.ranks(),
            cache=cache,
            on_unreadable=on_unreadable,
        ):
            if at_end and validator and validator.is_exhausted(trainer.iteration, stage.start):
                break
            on_progress(training.step(batch))
            if validator is not None and validator.is_due(trainer.iteration):
                training.measure(validator)
            # Behind the measuring: a run that goes on from here has been measured.
            training.save_where_due()
            if processes.any_true(interrupted(), trainer.device):
                training.save()
                raise KeyboardInterrupt
    training.save()
    return trainer.weights()


class _StageTraining:
    """A trainer in one of a run's stages, with the files that it leaves."""

    def __init__(self, stage: Stage, cfg: CfgNode, run: RunFolder, seed: int) -> None:
        self.stage = stage
        self.cfg = cfg
        kept: int = cfg.SOLVER.CHECKPOINTS_KEPT
        self.checkpoints = StageCheckpoints(run, stage.name, kept=kept)
        self.trainer = Trainer(cfg, seed)
        self.sums: dict[str, float] = {}
        state = self.checkpoints.read()
        if state is None and stage.previous is not None:
            state = StageCheckpoints(run, stage.previous).read()
        if state is not None:
            _check_state(state, stage, run)
            self.sums = state["sums"]
        self.trainer.start(state, stage.start)
        if len(set(processes.gather(self.trainer.iteration))) > 1:
            raise RunError(
                f"{run.root}: the processes see different states of the run; it has to be on a "
                "disk that all of them see alike; try again with --resume"
            )
        self.log = MetricsLog(run.metrics, run.tensorboard, stage.name, self.trainer.iteration)
        self.last_save = time.monotonic()
        self.throughput = Throughput(LOG_PERIOD)

    def save(self) -> None:
        """Write the training state, atomically."""
        if processes.is_first():
            self.checkpoints.write({**self.trainer.state(), "sums": self.sums})
        self.last_save = time.monotonic()

    def save_where_due(self) -> None:
        """Save the state every so many iterations, and after so much time."""
        due = time.monotonic() - self.last_save > self.cfg.SOLVER.CHECKPOINT_SECONDS
        if due or self.trainer.iteration % self.cfg.SOLVER.CHECKPOINT_PERIOD == 0:
            self.save()

    def step(self, batch: Batch) -> StageProgress:
        """Train one iteration, and log where it is time to."""
        rate = self.trainer.learning_rate
        losses = self.trainer.step(batch)
        iteration = self.trainer.iteration
        self.throughput.add(self.cfg.SOLVER.IMS_PER_BATCH)
        progress = StageProgress(
            self.stage.name,
            iteration,
            self.stage.end,
            self.cfg.SOLVER.MAX_ITER,
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
        """Measure the weights, and log the figure."""
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


def _check_state(state: State, stage: Stage, run: RunFolder) -> None:
    """Refuse what a former version saved, under the same name, with stages or keys of its own."""
    fits = "average" in state and stage.start <= state["iteration"] <= stage.end
    # What this version alone knows of, and its defaults, would change the training on its way.
    if not fits or younger_keys(run.config):
        raise RunError(
            f"{run.root}: begun by another version of sparsedet, whose training can't be gone on "
            "with; start another run with another -o (a round: `sparsedet round --restart`)"
        )


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Hold Ctrl-C and SIGTERM back; yield a function that tells whether one has come.

    An interrupt in the midst of an iteration would leave weights, optimiser and counter apart. A
    second one is not held back, but in a launcher's processes: there the launcher passes on what
    the terminal has sent them already. Outside the main thread, where Python delivers no signals,
    nothing is held back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came = threading.Event()
    previous = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def note(_number: int, _frame: FrameType | None) -> None:
        came.set()
        if not is_launched():
            restore()

    for number in _SIGNALS:
        signal.signal(number, note)
    try:
        yield came.is_set
    finally:
        restore()
