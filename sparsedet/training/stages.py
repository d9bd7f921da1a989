"""The stages of a run."""

from itertools import pairwise
from typing import Any

from sparsedet.training.stage import Stage


def stages(cfg: Any) -> list[Stage]:
    """Return the stages of `staged`: one run on one schedule, with a mining between two stages."""
    total: int = cfg.SOLVER.MAX_ITER
    rule = cfg.SPARSEDET.STAGED
    inner = {round(share * total) for share in rule.MINE_AT}
    bounds = sorted(
        {0, total} | {bound for bound in inner if max(1, rule.MIN_ITER) <= bound < total}
    )
    parts = list(pairwise(bounds))
    return [
        Stage(
            f"stage{number}",
            start,
            end,
            previous=f"stage{number - 1}" if number > 1 else None,
        )
        for number, (start, end) in enumerate(parts, start=1)
    ]
