"""Goodness of fit: which recipes explain what was removed, and which are ruled out."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from sparsedet.annotations.table import FloatArray, IntArray
from sparsedet.comparison.fitting import fit, without
from sparsedet.comparison.invariants import Observation, violated_invariant
from sparsedet.comparison.replicates import (
    IMAGE_LABELS,
    TEST,
    WHOLE,
    Sample,
    class_residuals,
    replicate,
)
from sparsedet.comparison.significance import (
    TableCounts,
    TableTest,
    compare_table,
    large_bins,
    replicates_as_extreme,
    underdispersion_p,
)
from sparsedet.errors import RecipeError
from sparsedet.sparsify.recipe import Recipe
from sparsedet.sparsify.rules import DropFraction
from sparsedet.wording import counted

Judgement = Literal["fits", "ruled out", "can't tell"]

LEVEL = 0.01
"""A recipe is ruled out below this p-value."""
_REPLICATES = ((8, 1e-6), (40, 1e-9), (100, 0.0), (300, 0.0))
"""Numbers of replicates to compare a recipe with, step by step, each with the p-value below which
no more are needed."""
_ENOUGH = 3
"""With this many replicates as extreme as the file, more won't rule the recipe out."""
_UNDERDISPERSION_REPLICATES = 40
_WHOLE_REPLICATES = 3
_EXTRAPOLATED = 0.0001
_INFORMATION = 16.0
"""Removed x kept / all: below that, a rule that removes small boxes three times as often as large
ones can't be distinguished from chance."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A recipe as an explanation of what was removed, and the evidence for it."""

    recipe: str
    judgement: Judgement
    p: float | None
    """The p-value: how likely the recipe is to make a file that differs from its other files as
    much as this one, corrected for the number of tests; 0 if an invariant is violated; None if not
    tested."""
    reason: str
    """What differs most, why the data is inconclusive, or under which condition a recipe fits; else
    empty."""
    parameters: dict[str, float] = field(default_factory=dict)
    """Fitted parameters."""
    absent: Literal["removed", "left-out"] | None = None
    """How absent images were interpreted; None if the judgement doesn't depend on it."""

    @property
    def p_text(self) -> str:
        """The p-value as text; a very small, extrapolated one as a bound."""
        if self.p is None:
            return "-"
        if self.p == 0:
            return "0"
        if self.p < _EXTRAPOLATED:
            return f"< {_EXTRAPOLATED}"
        return f"{self.p:.4f}" if self.p < LEVEL else f"{self.p:.2f}"

    @property
    def parameters_text(self) -> str:
        """The fitted parameters as text."""
        return ", ".join(f"{name} {value:.3g}" for name, value in self.parameters.items())


_UNIDENTIFIED = {
    "drop": "everything that its rules allow is gone; any higher drop does the same",
    "share": "no sign that all boxes of some images were removed: indistinguishable from share 0",
    "strength": "no sign of its tendency: indistinguishable from strength 0",
}
_EVEN = "by class: all classes lost the same share, more exactly than by chance"


@dataclass(frozen=True, slots=True)
class _Finding:
    p: float
    reason: str


def explain(recipe: Recipe, seen: Observation, sample: Sample, whole: Sample) -> Explanation:
    """Test whether a recipe explains what happened to the boxes.

    Args:
        recipe: Its numbers of boxes are fixed; shares and strengths are fitted.
        seen: All boxes, for the recipe's invariants.
        sample: The sample for its replicates.
        whole: The sample of all images.
    """
    removed, boxes = int(seen.removed.sum()), len(seen.boxes)
    if not removed or removed == boxes:
        what = "no box was removed" if not removed else "all boxes were removed"
        return Explanation(recipe.name, "can't tell", None, what)
    if (violation := violated_invariant(recipe, seen)) is not None:
        return Explanation(recipe.name, "ruled out", 0.0, violation)
    if _counts_over_images(recipe):
        if not seen.is_whole:
            what = "it counts boxes over several images, some of which are left out"
            return Explanation(recipe.name, "can't tell", None, what)
        sample = whole
    try:
        fitted = fit(recipe, sample)
        parameters = _rescaled(fitted.parameters, recipe, seen, sample)
        finding = _chance(fitted.recipe, sample)
        if finding.p >= LEVEL:
            even = _underdispersion(without(fitted.recipe, fitted.unidentified), whole)
            finding = min(finding, even, key=lambda one: one.p)
    except RecipeError as error:
        return Explanation(recipe.name, "can't tell", None, str(error))
    if finding.p < LEVEL:
        return Explanation(recipe.name, "ruled out", finding.p, finding.reason, parameters)
    if fitted.unidentified:
        reason = "; ".join(_UNIDENTIFIED[name] for name in fitted.unidentified)
        return Explanation(recipe.name, "can't tell", finding.p, reason, parameters)
    if removed * (boxes - removed) / boxes < _INFORMATION:
        return Explanation(
            recipe.name,
            "can't tell",
            finding.p,
            f"too little data: {counted(removed, 'box')} removed, {boxes - removed} kept",
            parameters,
        )
    return Explanation(recipe.name, "fits", finding.p, "", parameters)


def _chance(recipe: Recipe, sample: Sample) -> _Finding:
    """Compare a sample with replicates; the p-value is corrected for the number of tables."""
    observed, sizes = _floats(sample.counts(sample.removed)), _floats(sample.sizes())
    drawn: list[list[FloatArray]] = []
    finding = _Finding(1.0, "")
    for count, hopeless in _REPLICATES:
        while len(drawn) < count:
            drawn.append(_floats(sample.counts(replicate(recipe, sample, TEST + len(drawn)))))
        replicates = [np.stack(table) for table in zip(*drawn, strict=True)]
        finding, tables = _compared(recipe, sample, observed, replicates, sizes)
        if finding.p < hopeless:
            break
        if count < _REPLICATES[1][0]:
            continue
        as_extreme = replicates_as_extreme(tables) if tables else 0
        is_likely = finding.p >= LEVEL or as_extreme >= _ENOUGH
        if as_extreme:
            finding = replace(finding, p=max(finding.p, (as_extreme + 1) / (count + 1)))
        if is_likely:
            break
    return finding


def _compared(
    recipe: Recipe,
    sample: Sample,
    observed: list[FloatArray],
    replicates: list[FloatArray],
    sizes: list[FloatArray],
) -> tuple[_Finding, list[TableCounts]]:
    """Test every table; return the finding of the most extreme one, and all of them."""
    by_class = _shares_classes(recipe) and not sample.is_all
    best: tuple[int, TableTest] | None = None
    tables = []
    for row, (value, counts, size) in enumerate(zip(observed, replicates, sizes, strict=True)):
        table = sample.tables[row] if row < len(sample.tables) else None
        compared, others = value, counts
        if by_class and table is not None:
            if table.name == "class":
                continue
            compared = class_residuals(sample, table, value[None], observed[0][None])[0]
            others = class_residuals(sample, table, counts, replicates[0])
        counted = large_bins(compared, others, counts.mean(axis=0), size)
        if counted is None:
            continue
        tables.append(counted)
        found = compare_table(counted)
        if best is None or found.p < best[1].p:
            best = row, found
    if best is None:
        return _Finding(1.0, ""), tables
    row, found = best
    reason = _described(sample, row, found, observed[row], replicates[row], sizes[row])
    return _Finding(min(1.0, found.p * len(tables)), reason), tables


def _described(
    sample: Sample,
    row: int,
    found: TableTest,
    observed: FloatArray,
    replicates: FloatArray,
    sizes: FloatArray,
) -> str:
    """Describe the bin that differs most."""
    size = max(sizes[found.worst], 1)
    share, typical = observed[found.worst] / size, replicates[:, found.worst].mean() / size
    spread = 2 * replicates[:, found.worst].std(ddof=1) / size
    expected = f"{100 * typical:.1f} ± {100 * spread:.1f} %"
    if row == len(sample.tables):
        return f"{IMAGE_LABELS[found.worst]}: {100 * share:.1f} %, expected {expected}"
    table = sample.tables[row]
    return (
        f"{table.title}: {table.labels[found.worst]}: {100 * share:.1f} % removed, "
        f"expected {expected}"
    )


def _underdispersion(recipe: Recipe, whole: Sample) -> _Finding:
    """Test whether the classes' shares are more equal than by chance under the recipe."""
    is_random = all(getattr(rule, "order", "random") == "random" for rule in recipe.rules)
    if _shares_classes(recipe) or not is_random:
        return _Finding(1.0, "")
    if recipe.rules not in whole.underdispersion:
        count = _UNDERDISPERSION_REPLICATES if len(whole.boxes) < 20_000 else _WHOLE_REPLICATES
        table = whole.tables[0]
        removed = (replicate(recipe, whole, WHOLE + number) for number in range(count))
        drawn = np.stack(_floats([table.counts(mask) for mask in removed]))
        observed = table.counts(whole.removed).astype(np.float64)
        p = underdispersion_p(observed, drawn, table.counts().astype(np.float64))
        whole.underdispersion[recipe.rules] = min(1.0, (len(whole.tables) + 2) * p)
    return _Finding(whole.underdispersion[recipe.rules], _EVEN)


def _rescaled(
    parameters: dict[str, float], recipe: Recipe, seen: Observation, sample: Sample
) -> dict[str, float]:
    """Return fitted parameters with the drop rescaled from the sample to all images.

    Applies to shares of the dataset or of classes, which vary by chance on a sample.
    """
    over_images = any(
        isinstance(rule, DropFraction) and rule.per in ("dataset", "class") for rule in recipe.rules
    )
    if "drop" not in parameters or not over_images or not sample.removed.any():
        return parameters
    drop = parameters["drop"] * float(seen.removed.mean() / sample.removed.mean())
    return {**parameters, "drop": min(drop, 1.0)}


def _shares_classes(recipe: Recipe) -> bool:
    return any(isinstance(rule, DropFraction) and rule.per == "class" for rule in recipe.rules)


def _counts_over_images(recipe: Recipe) -> bool:
    """Return whether a rule counts boxes over several images, which can't be sampled."""
    return any(
        getattr(rule, "per", None) in ("dataset", "class") and not isinstance(rule, DropFraction)
        for rule in recipe.rules
    )


def _floats(counts: Sequence[IntArray]) -> list[FloatArray]:
    return [np.asarray(values, dtype=np.float64) for values in counts]
