"""Acceptance by sample: nearly certain mined boxes form a lot, of which people review a sample.

The guarantee is that of industrial acceptance sampling: a lot worse than promised passes only with
a small probability. It covers the lot as mined, including its sample, and rests on the randomly
drawn sample alone; expected precision only decides which boxes form a lot. So it holds however
wrong the expected precision is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from math import ceil, floor
from typing import NamedTuple

import numpy as np

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.seeds import stable_rank

PRODUCERS_RISK = 0.1
"""Maximum probability that a lot as good as expected fails."""
LARGEST_SAMPLE = 0.5
"""Maximum share of the lot: a larger sample saves too little to justify the wait."""
_CUTS = 24
"""Number of lot sizes to try."""
_ROUNDING = 1e-9
"""Tolerance for shares, which are inexact as floats."""
_STREAM = "lot"


class Promise(NamedTuple):
    """The guarantee for a lot that passes."""

    precision: float
    """Least share of right boxes, 0 to 1."""
    confidence: float
    """Minimum probability that a lot below that precision fails, 0 to 1."""


class SamplingPlan(NamedTuple):
    """How a lot is tested."""

    size: int
    """Sample size."""
    allowed: int
    """Maximum number of wrong boxes in the sample."""


@dataclass(frozen=True, slots=True)
class Lot:
    """Boxes of one class that are accepted or reviewed together."""

    category_id: int
    boxes: tuple[MinedBox, ...]
    """By descending expected precision."""
    sample: frozenset[str]
    """Region ids of the boxes that people review."""
    allowed: int
    """Maximum number of wrong boxes in the sample."""

    @property
    def expected(self) -> float:
        """Expected precision of all its boxes, 0 to 1."""
        return float(np.mean([box.expected_precision or 0.0 for box in self.boxes]))

    @property
    def saved(self) -> int:
        """Number of boxes nobody has to review if it passes."""
        return len(self.boxes) - len(self.sample)


def chance_to_pass(boxes: int, wrong: int, plan: SamplingPlan) -> float:
    """Return the exact probability that a lot passes.

    Args:
        boxes: size of the lot.
        wrong: number of wrong boxes among them.
        plan: the test.
    """
    # scipy.stats takes a second to import.
    from scipy.stats import hypergeom

    return float(hypergeom.cdf(plan.allowed, boxes, wrong, plan.size))


def fewest_wrong_of_a_bad_lot(boxes: int, precision: float) -> int:
    """Return the number of wrong boxes that puts a lot below a precision."""
    return floor(boxes * (1 - precision) + _ROUNDING) + 1


def sampling_plan(boxes: int, expected: float, promise: Promise) -> SamplingPlan | None:
    """Return the smallest sample that gives the guarantee and lets a good lot likely pass.

    The guarantee is exact: sampling without replacement is hypergeometric. For a large lot this is
    the binomial distribution, whose Clopper-Pearson bound the lot has to reach; for 0.98 at 0.95
    the smallest sample is 149 boxes with none wrong.

    Args:
        boxes: size of the lot.
        expected: its expected precision, 0 to 1.
        promise: the guarantee for a lot that passes.

    Returns:
        None if no sample of at most `LARGEST_SAMPLE` does: the lot is too small, or hardly better
        than promised.
    """
    from scipy.stats import binom

    largest = floor(boxes * LARGEST_SAMPLE)
    wrong = fewest_wrong_of_a_bad_lot(boxes, promise.precision)
    size = 1
    for allowed in count():
        found = _smallest(boxes, wrong, allowed, promise, size, largest)
        if found is None:
            return None
        size = found
        if float(binom.sf(allowed, size, 1 - expected)) <= PRODUCERS_RISK:
            return SamplingPlan(size, allowed)
    raise AssertionError("a sample has an end")


def _smallest(
    boxes: int, wrong: int, allowed: int, promise: Promise, least: int, most: int
) -> int | None:
    """Return the smallest sample from `least` to `most` that few enough bad lots pass."""

    def keeps(size: int) -> bool:
        plan = SamplingPlan(size, allowed)
        return chance_to_pass(boxes, wrong, plan) <= 1 - promise.confidence + _ROUNDING

    if least > most or not keeps(most):
        return None
    while least < most:
        middle = (least + most) // 2
        if keeps(middle):
            most = middle
        else:
            least = middle + 1
    return least


def form_lots(
    boxes: Sequence[MinedBox], promise: Promise, *, seed: int, round: int
) -> tuple[Lot, ...]:
    """Return the lots of a round, at most one per class, those that save most first.

    A lot holds its class's most certain boxes, as many as save most; together they are expected to
    be at least as precise as promised.

    Args:
        boxes: mined boxes with expected precision.
        promise: the guarantee for a lot that passes.
        seed: draws the samples, together with `round` and the boxes' positions.
        round: number of the round.
    """
    classes: dict[int, list[MinedBox]] = {}
    for box in boxes:
        if box.expected_precision is not None:
            classes.setdefault(box.category_id, []).append(box)
    lots = []
    for category_id in sorted(classes):
        ranked = sorted(classes[category_id], key=_surest_first)
        if (lot := _best_lot(category_id, ranked, promise, seed, round)) is not None:
            lots.append(lot)
    return tuple(sorted(lots, key=lambda lot: (-lot.saved, lot.category_id)))


def _best_lot(
    category_id: int, ranked: Sequence[MinedBox], promise: Promise, seed: int, round: int
) -> Lot | None:
    """Return the lot of a class that saves most, if any saves something."""
    chances = np.array([box.expected_precision for box in ranked])
    means = np.cumsum(chances) / np.arange(1, len(chances) + 1)
    largest = int((means >= promise.precision).sum())
    best: tuple[int, SamplingPlan] | None = None
    for size in sorted({ceil(largest * cut / _CUTS) for cut in range(1, _CUTS + 1)} - {0}):
        plan = sampling_plan(size, float(means[size - 1]), promise)
        if plan is not None and (best is None or size - plan.size > best[0] - best[1].size):
            best = size, plan
    if best is None:
        return None
    chosen, plan = ranked[: best[0]], best[1]
    drawn = sorted(chosen, key=lambda box: _rank(box, seed, round))[: plan.size]
    ids = frozenset(box.region_id for box in drawn)
    return Lot(category_id, tuple(chosen), ids, plan.allowed)


def _surest_first(box: MinedBox) -> tuple[object, ...]:
    return -(box.expected_precision or 0.0), box.image_id, box.xyxy


def _rank(box: MinedBox, seed: int, round: int) -> int:
    # Not by region id: it contains the file name, to which a tool may add something random.
    place = ",".join(f"{edge:.2f}" for edge in box.xyxy)
    return stable_rank(seed, _STREAM, round, box.image_id, box.category_id, place)
