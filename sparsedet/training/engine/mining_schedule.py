"""When a training by `staged` mines: before its model knows what has no label.

A model that has often seen an image is sure that an object without a label is background. On 75
images, mining finds 86 labels and 309 ignore regions after 16 passes over them, 14 and 96 after 55.
So minings are added where `STAGED.MINE_AT` leaves too many passes without one. Figures:
`benchmarks/results/tried.md`, When to mine.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, inf

from sparsedet.config.sections import StagedConfig
from sparsedet.config.training_config import TrainingConfig

_LEAST = 300
"""Iterations in which a model learns enough to mine, however few images there are."""
_DIGITS = 6
"""Of added shares."""


def with_regular_mining(config: TrainingConfig, views: int) -> TrainingConfig:
    """Return the configuration with further minings in `STAGED.MINE_AT`, if the training is long.

    Args:
        config: with its final number of iterations.
        views: number of images, including tiles.
    """
    staged, total = config.staged, config.solver.max_iter
    shares = mining_shares(staged, total, views / config.solver.batch_size)
    if shares == staged.mine_at:
        return config
    return config.with_values({"SPARSEDET.STAGED.MINE_AT": tuple(shares)})


def mining_shares(config: StagedConfig, total: int, pass_length: float = inf) -> Sequence[float]:
    """Return the shares of the iterations after which the images are mined.

    Args:
        config: has those that were asked for.
        total: number of iterations of the training.
        pass_length: iterations of a pass over all images.
    """
    gaps = list(pairwise([0.0, *sorted(config.mine_at)]))
    # Rounding must not make a gap too long.
    most = max(_LEAST, config.max_passes * pass_length) / total + 10**-_DIGITS
    if not config.max_passes or all(end - start <= most for start, end in gaps):
        return config.mine_at
    return tuple(
        round(start + (end - start) * part / parts, _DIGITS)
        for start, end in gaps
        for parts in [ceil((end - start) / most)]
        for part in range(1, parts + 1)
    )
