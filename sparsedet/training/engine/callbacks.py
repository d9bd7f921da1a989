"""Callbacks for training progress, mined boxes, and skipped images."""

from collections.abc import Callable
from dataclasses import dataclass

from sparsedet.mining.detect import OnImage
from sparsedet.runtime.unreadable import OnUnreadable, warn_unreadable
from sparsedet.training.data.pseudo_labels import PseudoLabels


@dataclass(frozen=True, slots=True)
class StageProgress:
    """The state of a run after an iteration."""

    stage: str
    iteration: int
    """Finished iterations of the run, including earlier stages."""
    end: int
    """End iteration of the stage (exclusive)."""
    iterations: int
    """Total iterations of the run."""
    losses: dict[str, float]
    """Losses of this iteration, by name; `total_loss` is their sum."""
    learning_rate: float
    """Learning rate of this iteration."""
    images_per_second: float
    """Images per second over the last `stage.LOG_PERIOD` iterations, over all processes."""
    memory_bytes: int
    """Peak memory of this process so far; see `peak_memory`."""


@dataclass(frozen=True, slots=True)
class EarlyStop:
    """Why a training ends before its last iteration."""

    iteration: int
    """Finished iterations of the run."""
    iterations: int
    """Iterations that it would have had."""
    patience: int
    """Number of validations without improvement (SPARSEDET.VALIDATION.PATIENCE)."""
    measure: str
    """Name of the metric, such as `AP`."""
    best: float
    """Its best value, 0 to 100."""
    best_iteration: int
    """Iteration of the best value, whose weights are the run's result."""


OnProgress = Callable[[StageProgress], None]
OnEarlyStop = Callable[[EarlyStop], None]
OnMined = Callable[[PseudoLabels], None]


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Callbacks for training progress; the default only warns about unreadable images."""

    on_progress: OnProgress = lambda progress: None
    """Called after every iteration."""
    on_mining: OnImage = lambda done, total: None
    """Called after every mined image: `on_mining(done, total)`."""
    on_mined: OnMined = lambda found: None
    """Called after every mining between two stages; not repeated when a run resumes after it."""
    on_early_stop: OnEarlyStop = lambda stop: None
    """Called when validation ends the training early; repeated when a run resumes after it."""
    on_unreadable: OnUnreadable = warn_unreadable
    """Called for every undecodable image that is skipped, by each stage and mining."""
