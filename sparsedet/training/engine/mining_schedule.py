"""When a training by `staged` mines: not before its model can, nor after it has learned too much.

- A model that was shown few boxes of a class takes other objects for it, and learns that they are.
- A model that has seen an image often is sure that an object without a label is background. On 75
  images, mining finds 86 labels and 309 ignore regions after 16 passes, 14 and 96 after 55.

So minings that `STAGED.MINE_AT` asks for too early are left out, and others are added where they
are far apart. Figures: `benchmarks/results/tried.md`, When to mine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, inf

from sparsedet.annotations import Dataset
from sparsedet.config.sections import StagedConfig
from sparsedet.config.training_config import TrainingConfig

_LEAST = 300
"""Iterations in which a model learns enough to mine, however few images there are."""
_ENOUGH_PASSES = 8
"""Passes over the images from which it is never too early: more of them add nothing new."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a training goes through its data."""

    pass_length: float = inf
    """Iterations of a pass over all images."""
    boxes: float = inf
    """Annotated boxes of a class that an iteration shows, on average over the classes."""

    @classmethod
    def of(cls, config: TrainingConfig, dataset: Dataset, views: int) -> "Pace":
        """Return the pace of a training.

        Args:
            config: of the training.
            dataset: its annotations.
            views: number of its images, including tiles.
        """
        length = views / config.solver.batch_size
        labels = [box.category_id for box in dataset.boxes if not box.iscrowd]
        return cls(length, len(labels) / max(1, len(set(labels))) / length)


def with_fitting_minings(config: TrainingConfig, pace: Pace) -> TrainingConfig:
    """Return the configuration with minings in `STAGED.MINE_AT` left out and added.

    Args:
        config: with its final number of iterations.
        pace: of this training.
    """
    shares = mining_shares(config.staged, config.solver.max_iter, pace)
    if shares == config.staged.mine_at:
        return config
    return config.with_values({"SPARSEDET.STAGED.MINE_AT": tuple(shares)})


def mining_shares(config: StagedConfig, total: int, pace: Pace) -> Sequence[float]:
    """Return the shares of the iterations after which the images are mined.

    Args:
        config: has those that were asked for.
        total: number of iterations of the training.
        pace: of the training.
    """

    def is_early(share: float) -> bool:
        iteration = round(share * total)
        few = iteration * pace.boxes < config.min_boxes
        return few and iteration < _ENOUGH_PASSES * pace.pass_length

    asked = [share for share in sorted(config.mine_at) if not is_early(share)]
    asked = asked or sorted(config.mine_at)[-1:]
    most = max(_LEAST, config.max_passes * pace.pass_length) / total if config.max_passes else 1.0
    if all(end - start <= most for start, end in pairwise([0.0, *asked])):
        return tuple(asked)
    return tuple(
        round(start + (end - start) * part / parts, 6)
        for start, end in pairwise([0.0, *asked])
        for parts in [ceil((end - start) / most)]
        for part in range(1, parts + 1)
    )
