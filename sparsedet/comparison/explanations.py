"""Which recipes explain what was removed, and which it rules out."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from sparsedet.annotations.table import FloatArray, IntArray
from sparsedet.comparison.fitting import fit, without
from sparsedet.comparison.invariants import Observation, broken_promise
from sparsedet.comparison.replicates import (
    IMAGE_LABELS,
    TEST,
    WHOLE,
    Sample,
    given_classes,
    play,
)
from sparsedet.comparison.significance import (
    TableCounts,
    TableTest,
    compare_table,
    evenness_p,
    large_bins,
    plays_as_far_off,
)
from sparsedet.errors import RecipeError
from sparsedet.sparsify.recipe import Recipe
from sparsedet.sparsify.rules import DropFraction

Judgement = Literal["fits", "ruled out", "can't tell"]

LEVEL = 0.01
"""A recipe is ruled out below this p-value."""
_PLAYS = ((8, 1e-6), (40, 1e-9), (100, 0.0), (300, 0.0))
"""How many plays a recipe is compared with, step by step; and the p-value below which there is no
need for more."""
_ENOUGH = 3
"""With so many plays that are as far off as the file, more of them won't rule the recipe out."""
_EVEN_PLAYS = 40
_WHOLE_PLAYS = 3
_EXTRAPOLATED = 0.0001
_INFORMATION = 16.0
"""Removed x kept / all: with less, a rule under which small boxes go three times as often as large
ones would look like chance."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the data says about one recipe."""

    recipe: str
    judgement: Judgement
    p: float | None
    """The chance that the recipe itself makes a file that differs from its other files as much as
    this one, corrected for the number of tests; 0 where it can't; None where it was not tested."""
    reason: str
    """What differs most, why there is no telling, or on what condition a recipe fits; else empty.
    """
    parameters: dict[str, float] = field(default_factory=dict)
    """Those fitted to the data."""
    absent: Literal["removed", "left-out"] | None = None
    """What was made of absent images; None where that makes no difference to the judgement."""

    @property
    def p_text(self) -> str:
        """The p-value as text; a very small one as a bound, since it is extrapolated."""
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


_HIDDEN = {
    "drop": "all that its rules let go is gone; any higher drop does the same",
    "share": "that all boxes of some images went does not show; it can't be told from share 0",
    "strength": "its tendency does not show; it can't be told from strength 0",
}
_EVEN = "by class: all classes lost the same share, more exactly than by chance"


@dataclass(frozen=True, slots=True)
class _Finding:
    p: float
    reason: str


def judge(recipe: Recipe, seen: Observation, sample: Sample, whole: Sample) -> Verdict:
    """Test a recipe against what happened to the boxes.

    Args:
        recipe: Its numbers of boxes are taken as they are; shares and strengths are fitted.
        seen: All boxes, for what the recipe promises.
        sample: On which it is played.
        whole: The sample that is all images.
    """
    removed, boxes = int(seen.removed.sum()), len(seen.boxes)
    if not removed or removed == boxes:
        what = "no box was removed" if not removed else "all boxes were removed"
        return Verdict(recipe.name, "can't tell", None, what)
    if (broken := broken_promise(recipe, seen)) is not None:
        return Verdict(recipe.name, "ruled out", 0.0, broken)
    if _counts_over_images(recipe):
        if not seen.is_whole:
            what = "it counts boxes over several images, some of which are left out"
            return Verdict(recipe.name, "can't tell", None, what)
        sample = whole
    try:
        fitted = fit(recipe, sample)
        parameters = _of_all(fitted.parameters, recipe, seen, sample)
        finding = _chance(fitted.recipe, sample)
        if finding.p >= LEVEL:
            even = _evenness(without(fitted.recipe, fitted.hidden), whole)
            finding = min(finding, even, key=lambda one: one.p)
    except RecipeError as error:
        return Verdict(recipe.name, "can't tell", None, str(error))
    if finding.p < LEVEL:
        return Verdict(recipe.name, "ruled out", finding.p, finding.reason, parameters)
    if fitted.hidden:
        reason = "; ".join(_HIDDEN[name] for name in fitted.hidden)
        return Verdict(recipe.name, "can't tell", finding.p, reason, parameters)
    if removed * (boxes - removed) / boxes < _INFORMATION:
        return Verdict(
            recipe.name,
            "can't tell",
            finding.p,
            f"too little to go by: {removed} boxes removed, {boxes - removed} kept",
            parameters,
        )
    return Verdict(recipe.name, "fits", finding.p, "", parameters)


def _chance(recipe: Recipe, sample: Sample) -> _Finding:
    """Compare a sample with plays of the recipe; the p-value is corrected for several tables."""
    observed, sizes = _floats(sample.counts(sample.removed)), _floats(sample.sizes())
    played: list[list[FloatArray]] = []
    finding = _Finding(1.0, "")
    for count, hopeless in _PLAYS:
        while len(played) < count:
            played.append(_floats(sample.counts(play(recipe, sample, TEST + len(played)))))
        plays = [np.stack(table) for table in zip(*played, strict=True)]
        finding, tables = _compared(recipe, sample, observed, plays, sizes)
        if finding.p < hopeless:
            break
        if count < _PLAYS[1][0]:
            continue
        as_far_off = plays_as_far_off(tables) if tables else 0
        is_likely = finding.p >= LEVEL or as_far_off >= _ENOUGH
        if as_far_off:
            finding = replace(finding, p=max(finding.p, (as_far_off + 1) / (count + 1)))
        if is_likely:
            break
    return finding


def _compared(
    recipe: Recipe,
    sample: Sample,
    observed: list[FloatArray],
    plays: list[FloatArray],
    sizes: list[FloatArray],
) -> tuple[_Finding, list[TableCounts]]:
    """Test every table; return what the one that is farthest off says, and all of them."""
    by_class = _shares_classes(recipe) and not sample.is_all
    best: tuple[int, TableTest] | None = None
    tables = []
    for row, (value, played, size) in enumerate(zip(observed, plays, sizes, strict=True)):
        table = sample.tables[row] if row < len(sample.tables) else None
        compared, others = value, played
        if by_class and table is not None:
            if table.name == "class":
                continue
            compared = given_classes(sample, table, value[None], observed[0][None])[0]
            others = given_classes(sample, table, played, plays[0])
        counted = large_bins(compared, others, played.mean(axis=0), size)
        if counted is None:
            continue
        tables.append(counted)
        found = compare_table(counted)
        if best is None or found.p < best[1].p:
            best = row, found
    if best is None:
        return _Finding(1.0, ""), tables
    row, found = best
    reason = _described(sample, row, found, observed[row], plays[row], sizes[row])
    return _Finding(min(1.0, found.p * len(tables)), reason), tables


def _described(
    sample: Sample,
    row: int,
    found: TableTest,
    observed: FloatArray,
    plays: FloatArray,
    sizes: FloatArray,
) -> str:
    """Say by how much the bin that differs most differs."""
    size = max(sizes[found.worst], 1)
    share, typical = observed[found.worst] / size, plays[:, found.worst].mean() / size
    spread = 2 * plays[:, found.worst].std(ddof=1) / size
    expected = f"{100 * typical:.1f} ± {100 * spread:.1f} %"
    if row == len(sample.tables):
        return f"{IMAGE_LABELS[found.worst]}: {100 * share:.1f} %, expected {expected}"
    table = sample.tables[row]
    return (
        f"{table.title}: {table.labels[found.worst]}: {100 * share:.1f} % removed, "
        f"expected {expected}"
    )


def _evenness(recipe: Recipe, whole: Sample) -> _Finding:
    """Test whether classes lost more equal shares than the recipe's chance lets them."""
    is_random = all(getattr(rule, "order", "random") == "random" for rule in recipe.rules)
    if _shares_classes(recipe) or not is_random:
        return _Finding(1.0, "")
    if recipe.rules not in whole.evenness:
        count = _EVEN_PLAYS if len(whole.boxes) < 20_000 else _WHOLE_PLAYS
        table = whole.tables[0]
        played = np.stack(
            _floats([table.counts(play(recipe, whole, WHOLE + number)) for number in range(count)])
        )
        observed = table.counts(whole.removed).astype(np.float64)
        p = evenness_p(observed, played, table.counts().astype(np.float64))
        whole.evenness[recipe.rules] = min(1.0, (len(whole.tables) + 2) * p)
    return _Finding(whole.evenness[recipe.rules], _EVEN)


def _of_all(
    parameters: dict[str, float], recipe: Recipe, seen: Observation, sample: Sample
) -> dict[str, float]:
    """Return fitted parameters with the share of a dataset's or its classes' boxes as it is on all
    images: a sample's own, which it is compared by, differs a little by chance."""
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
    """Tell whether a rule counts boxes over several images, which a sample of images can't show."""
    return any(
        getattr(rule, "per", None) in ("dataset", "class") and not isinstance(rule, DropFraction)
        for rule in recipe.rules
    )


def _floats(counts: Sequence[IntArray]) -> list[FloatArray]:
    return [np.asarray(values, dtype=np.float64) for values in counts]
