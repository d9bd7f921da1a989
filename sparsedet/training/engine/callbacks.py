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


OnProgress = Callable[[StageProgress], None]
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
    on_unreadable: OnUnreadable = warn_unreadable
    """Called for every undecodable image that is skipped, by each stage and mining."""
