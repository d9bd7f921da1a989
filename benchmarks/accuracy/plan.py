"""Which cells there are, in the order in which they are trained."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .cell import Cell


@dataclass(frozen=True)
class Ablation:
    """`staged` with another choice in one place."""

    name: str
    overrides: tuple[str, ...]
    """KEY VALUE pairs."""
    says: str
    """What `staged` does there instead."""


ABLATIONS = (
    Ablation(
        "nothing mined",
        ("SPARSEDET.STAGED.MINE_AT", "()"),
        "mining on the way; without it, only pasting and zooming are left",
    ),
    Ablation(
        "mined once",
        ("SPARSEDET.STAGED.MINE_AT", "(0.5,)"),
        "mining again, with the better model that the first mined boxes made",
    ),
    Ablation(
        "no mined labels",
        ("SPARSEDET.STAGED.LABELS", "False"),
        "a mined box of sure object and class is a label, instead of being ignored",
    ),
    Ablation(
        "nothing ignored",
        ("SPARSEDET.STAGED.IGNORED", "False"),
        "a mined box in doubt is ignored, not background",
    ),
    Ablation(
        "without pasting",
        ("SPARSEDET.STAGED.PASTES", "0"),
        "labelled objects are pasted into other images, above all into those with few labels",
    ),
    Ablation(
        "without zoom",
        ("SPARSEDET.STAGED.ZOOM_SHARE", "0.0"),
        "half of the images are seen from nearer or farther",
    ),
)


@dataclass(frozen=True)
class Plan:
    """The cells of one dataset."""

    drops: tuple[float, ...] = (0.0, 0.5)
    """Shares of the boxes that the recipe `random` removes."""
    seeds: tuple[int, ...] = (1, 2, 3)
    """For `plain` and `staged`; whatever takes less takes the first of them."""
    more_seeds: tuple[int, ...] = ()
    """For `plain` and `staged` with all boxes, besides: a loss of some tenths does not show in a
    few."""
    end_to_end_seeds: int = 1
    extreme_seeds: int = 0
    """Of `plain` and `staged` on what the recipe `extreme` leaves, one box of each image."""
    ablation_drop: float | None = None
    """None: no ablations."""
    ablation_seeds: int = 2


PLANS = {
    "bccd": Plan(
        drops=(0.0, 0.5, 0.7, 0.9), more_seeds=(4, 5, 6), extreme_seeds=1, ablation_drop=0.7
    ),
    "cards": Plan(drops=(0.0, 0.5), ablation_drop=0.5),
    "digits": Plan(drops=(0.7,)),
}
"""By name of the dataset; others have `Plan()`."""


def cells(data: str, plan: Plan, *, iterations: int, config: str) -> list[Cell]:
    """Return the cells of the dataset named `data`, the most telling ones first."""
    common: dict[str, Any] = {"data": data, "iterations": iterations, "config": config}
    return [Cell(**common, **choice) for choice in _choices(plan)]


def _choices(plan: Plan) -> Iterator[dict[str, Any]]:
    paired = ("plain", "staged")
    first, *others = plan.seeds
    for drop in plan.drops:
        for method in paired:
            yield {"recipe": "random", "drop": drop, "method": method, "seed": first}
    for seed in plan.seeds[: plan.end_to_end_seeds]:
        for drop in plan.drops:
            yield {"recipe": "random", "drop": drop, "method": "end-to-end", "seed": seed}
    for seed in others:
        for drop in plan.drops:
            for method in paired:
                yield {"recipe": "random", "drop": drop, "method": method, "seed": seed}
    for seed in plan.more_seeds:
        for method in paired:
            yield {"recipe": "random", "drop": 0.0, "method": method, "seed": seed}
    for seed in plan.seeds[: plan.extreme_seeds]:
        for method in paired:
            yield {"recipe": "extreme", "drop": None, "method": method, "seed": seed}
    if plan.ablation_drop is None:
        return
    for seed in plan.seeds[: plan.ablation_seeds]:
        for ablation in ABLATIONS:
            yield {
                "recipe": "random",
                "drop": plan.ablation_drop,
                "method": "staged",
                "variant": ablation.name,
                "overrides": ablation.overrides,
                "seed": seed,
            }
