"""Cells, each a training and its evaluation, and the plan of cells."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict


class Cell(BaseModel):
    """One training: method, data, and seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    """Name of the dataset."""
    recipe: str
    drop: float | None
    """Share of the boxes that the recipe removes; None: the recipe has no such parameter."""
    method: str
    variant: str = ""
    """Name of the ablation; empty: the method itself."""
    overrides: tuple[str, ...] = ()
    """KEY VALUE pairs of the ablation."""
    seed: int
    """Seed of the removal and of the training: cells with one seed see the same boxes."""
    iterations: int
    """Total iterations, for any method."""
    config: str
    """Training configuration: a packaged name, or a file."""

    @property
    def key(self) -> str:
        """The path of the cell's record below the folder of all records, without suffix."""
        parts = [
            self.recipe,
            *([] if self.drop is None else [f"{self.drop:g}"]),
            self.method,
            *([self.variant.replace(" ", "-")] if self.variant else []),
            f"s{self.seed}",
            f"{self.iterations}it",
            Path(self.config).stem,
        ]
        return f"{self.data}/{'-'.join(parts)}"


@dataclass(frozen=True)
class Ablation:
    """`staged` without one of its parts, or with another; without mining it is `augmented`."""

    name: str
    overrides: tuple[str, ...]
    """KEY VALUE pairs."""
    says: str
    """The effect of the part."""


ABLATIONS = (
    Ablation(
        "mined once",
        ("SPARSEDET.STAGED.MINE_AT", "(0.5,)"),
        "mining a second time, with the better model that the first mined boxes gave",
    ),
    Ablation(
        "no mined labels",
        ("SPARSEDET.STAGED.LABELS", "False"),
        "a mined box whose object and class are sure is a label, instead of being ignored",
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
        "half of the images are seen larger or smaller",
    ),
    Ablation(
        "prototypes",
        ("SPARSEDET.STAGED.PROTOTYPES", "True"),
        "boxes in doubt are ignored, no matter whether they resemble annotated objects",
    ),
    Ablation(
        "soft labels",
        ("SPARSEDET.STAGED.SOFT_LABELS", "True", "SPARSEDET.STAGED.PROTOTYPES", "True"),
        "thresholds divide mined boxes, instead of weights by their chance to be right",
    ),
)


@dataclass(frozen=True)
class Plan:
    """The cells of one dataset."""

    drops: tuple[float, ...] = (0.0, 0.5)
    """Shares of the boxes that the recipe `random` removes."""
    seeds: tuple[int, ...] = (1, 2, 3)
    """For the paired methods; methods with fewer seeds use the first ones."""
    more_seeds: tuple[int, ...] = ()
    """Additional ones for `plain` and `staged` with all boxes: three don't show a difference of
    some tenths."""
    end_to_end_seeds: int = 1
    extreme_seeds: int = 0
    """For `plain` and `staged` on what the recipe `extreme` leaves, one box per image."""
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
"""By name of the dataset; any other has `Plan()`."""


def cells(data: str, plan: Plan, *, iterations: int, config: str) -> list[Cell]:
    """Return the cells of the dataset named `data`, the most informative first."""
    common: dict[str, Any] = {"data": data, "iterations": iterations, "config": config}
    return [Cell(**common, **choice) for choice in _choices(plan)]


def _choices(plan: Plan) -> Iterator[dict[str, Any]]:
    paired = ("plain", "augmented", "staged")
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
        for method in ("plain", "staged"):
            yield {"recipe": "random", "drop": 0.0, "method": method, "seed": seed}
    for seed in plan.seeds[: plan.extreme_seeds]:
        for method in ("plain", "staged"):
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
