"""Callbacks: what a run calls with its progress, what it mined, and images that it skips."""

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
    """Over the last iterations, as many as `stage.LOG_PERIOD`, of all processes together."""
    memory_bytes: int
    """The most that this process has taken so far; see `peak_memory`."""


OnProgress = Callable[[StageProgress], None]
OnMined = Callable[[PseudoLabels], None]


@dataclass(frozen=True, slots=True)
class Callbacks:
    """What a run calls on its way; by default nothing but a warning about unreadable images."""

    on_progress: OnProgress = lambda progress: None
    """After every iteration."""
    on_mining: OnImage = lambda done, total: None
    """After every mined image: `on_mining(done, total)`."""
    on_mined: OnMined = lambda found: None
    """After every mining between two stages; not again by a run that resumes after it."""
    on_unreadable: OnUnreadable = warn_unreadable
    """For every image that is skipped because it can't be decoded, by each stage and mining."""
