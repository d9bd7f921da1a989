"""Who is told how a run goes on."""

from collections.abc import Callable
from dataclasses import dataclass

from sparsedet.runtime.unreadable import OnUnreadable, warn_unreadable
from sparsedet.training.data.pseudo_labels import PseudoLabels
from sparsedet.training.engine.stage import OnProgress


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Who is told how a run goes on."""

    on_progress: OnProgress = lambda progress: None
    """After every iteration."""
    on_mining: Callable[[int, int], None] = lambda done, total: None
    """After every mined image: `on_mining(done, total)`."""
    on_mined: Callable[[PseudoLabels], None] = lambda found: None
    """After every mining between two stages; a run that goes on behind one does not tell again."""
    on_unreadable: OnUnreadable = warn_unreadable
    """About every image that is skipped because it can't be decoded, by each stage and mining."""
