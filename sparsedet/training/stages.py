"""The stages of a run, and annotations that can be held out of its first ones."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from sparsedet.annotations import Box, Dataset
from sparsedet.sparsify.ranking import stable_rank
from sparsedet.training.stage import Stage

_STREAM = "held out"
"""Splits draw by seed, image and box as well; the two choices must not depend on each other."""


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
        Stage(f"stage{number}", start, end, f"stage{number - 1}" if number > 1 else None)
        for number, (start, end) in enumerate(parts, start=1)
    ]


def hold_out(dataset: Dataset, share: float, seed: int) -> tuple[Dataset, Sequence[Box]]:
    """Part a random share of the boxes from a dataset.

    A model flatters boxes that it trained on. Held-out boxes tell how it scores objects that nobody
    annotated: they are chosen at random, the images stay. None are where none would be left.

    Args:
        dataset: the annotations; crowd regions stay.
        share: of each box's chance to be held out, 0 to 1.
        seed: the same seed chooses the same boxes, whatever their order.

    Returns:
        The dataset without the held-out boxes, and these.
    """
    limit = share * 2**64
    chosen = {
        box.id
        for box in dataset.boxes
        if not box.iscrowd
        and stable_rank(seed, _STREAM, dataset.image_by_id[box.image_id].file_name, box.id) < limit
    }
    held_out = [box for box in dataset.boxes if box.id in chosen]
    kept = tuple(box for box in dataset.boxes if box.id not in chosen)
    if not held_out or all(box.iscrowd for box in kept):
        return dataset, []
    return replace(dataset, boxes=kept), held_out
