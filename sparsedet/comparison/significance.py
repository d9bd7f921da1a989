"""Significance tests of counts against a recipe's replicates: a chi-square per table.

Variances are estimated from the replicates: recipes with fixed numbers per image vary less than
independent draws, others more. Small counts are not normal, so a significant chi-square also has to
be larger than those of nearly all replicates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from sparsedet.annotations.table import BoolArray, FloatArray

_LEAST = 5.0
"""Bins with a smaller expectation are pooled."""
_SETTLED = 1.0
"""Bins with a smaller expected number of removed, or kept, boxes are settled: an exception in a
large one is more telling than a small difference elsewhere."""
_FLOOR = 1.0
"""Smallest variance of a bin, in boxes squared: replicates may agree by chance."""


@dataclass(frozen=True, slots=True)
class TableTest:
    """The result of testing one table's counts against replicates."""

    p: float
    """The p-value: how often replicates differ as much; 0 to 1."""
    worst: int
    """The bin that differs most."""
    z: float
    """Its difference in standard deviations; negative if less was removed than in replicates."""


@dataclass(frozen=True, slots=True, eq=False)
class TableCounts:
    """A table's counts in sufficiently large bins."""

    observed: FloatArray
    """Shape (bins,)."""
    replicates: FloatArray
    """Shape (replicates, bins)."""
    rows: tuple[int, ...]
    """The corresponding bins of the table; pooled ones are represented by the largest."""

    @property
    def degrees(self) -> int:
        """Degrees of freedom: the fitted share fixes the sum, or nearly so."""
        return max(len(self.rows) - 1, 1)


def large_bins(
    observed: FloatArray, replicates: FloatArray, expected: FloatArray, sizes: FloatArray
) -> TableCounts | None:
    """Pool small bins; return None if the counts are too small to test.

    Which bins are small follows from the replicates alone: the observed counts must not choose the
    bins that they are tested on.

    Args:
        observed: Counts to test; shape (bins,).
        replicates: The replicates' counts; shape (replicates, bins).
        expected: The mean of the replicates' unadjusted counts; shape (bins,).
        sizes: Boxes or images in each bin; shape (bins,).
    """
    least = np.minimum(expected, sizes - expected)
    is_large = (least >= _LEAST) | ((least < _SETTLED) & (sizes >= 2 * _LEAST))
    bins = np.flatnonzero(is_large).tolist()
    columns, values = [replicates[:, bins]], [observed[bins]]
    rest = ~is_large
    if min(expected[rest].sum(), (sizes - expected)[rest].sum()) >= _LEAST:
        columns.append(replicates[:, rest].sum(axis=1, keepdims=True))
        values.append(observed[rest].sum(keepdims=True))
        bins.append(int(np.flatnonzero(rest)[sizes[rest].argmax()]))
    if not bins:
        return None
    return TableCounts(np.concatenate(values), np.concatenate(columns, axis=1), tuple(bins))


def compare_table(table: TableCounts) -> TableTest:
    """Test whether a table's counts look like one more replicate."""
    count, bins = table.replicates.shape
    variance = np.maximum(table.replicates.var(axis=0, ddof=1), _FLOOR) * (1 + 1 / count)
    z = (table.observed - table.replicates.mean(axis=0)) / np.sqrt(variance)
    statistic = float((z * z).sum()) * table.degrees / bins
    worst = int(np.abs(z).argmax())
    p = chi_square_p(statistic, table.degrees, count - 1)
    return TableTest(p, table.rows[worst], float(z[worst]))


def replicates_as_extreme(tables: Sequence[TableCounts]) -> int:
    """Return how many replicates are at least as extreme as the observed counts.

    A Monte Carlo test on the most extreme table: observed counts and replicates are treated alike,
    so that the observed rank is uniform under the recipe, regardless of the counts' distribution.
    """
    extremes: list[FloatArray] = []
    for table in tables:
        counts = np.concatenate((table.observed[None], table.replicates))
        variance = np.maximum(counts.var(axis=0, ddof=1), _FLOOR)
        statistic = ((counts - counts.mean(axis=0)) ** 2 / variance).sum(axis=1)
        # On one scale for tables of many bins and of few; a plain p would underflow to 0.
        extremes.append(
            -_log_chi_square_p(statistic * table.degrees / len(table.rows), table.degrees)
        )
    extreme = np.max(extremes, axis=0)
    return int((extreme[1:] >= extreme[0]).sum())


def chi_square_p(statistic: float, degrees: int, variance_degrees: int) -> float:
    """Return the p-value of a sum of squares with estimated variances.

    Args:
        statistic: The sum of `degrees` squares, each divided by its estimated variance.
        degrees: Degrees of freedom of the sum.
        variance_degrees: Degrees of freedom of each variance. The statistic over its degrees is
            taken to be F-distributed, as if one variance were shared: exact for one square, and
            conservative for several.
    """
    p: float = special.fdtrc(degrees, variance_degrees, statistic / degrees)
    return p


def _log_chi_square_p(statistic: FloatArray, degrees: int) -> FloatArray:
    """Return the logarithm of the chi-square's upper tail, by Wilson and Hilferty's cube root."""
    root = (statistic / degrees) ** (1 / 3)
    spread = 2 / (9 * degrees)
    logarithm: FloatArray = special.log_ndtr(-(root - (1 - spread)) / np.sqrt(spread))
    return logarithm


def underdispersion_p(observed: FloatArray, replicates: FloatArray, sizes: FloatArray) -> float:
    """Return the p-value of a test for underdispersion: shares of classes that are too equal.

    Args:
        observed: Removed boxes per class; shape (classes,).
        replicates: The replicates' counts; shape (replicates, classes), 2 replicates or more.
        sizes: Boxes per class; shape (classes,).

    Returns:
        0 to 1; small if the shares vary less than by chance. 1 if fewer than two classes
        leave anything to chance.
    """
    mean = (replicates.sum(axis=0) + observed) / (len(replicates) + 1)
    usable: BoolArray = np.minimum(mean, sizes - mean) >= _LEAST
    count, degrees = len(replicates), int(usable.sum()) - 1
    if degrees < 1:
        return 1.0
    share = mean[usable] / sizes[usable]
    unit = sizes[usable] * share * (1 - share)
    centre = replicates[:, usable].mean(axis=0)
    within = (((replicates[:, usable] - centre) ** 2) / unit).sum() / (degrees * (count - 1))
    # Rescaled to the total: the share may have been fitted on some of the images only.
    expected = centre * (observed[usable].sum() / centre.sum())
    between = (((observed[usable] - expected) ** 2) / unit).sum() / (degrees * (1 + 1 / count))
    if within <= 0:
        return 1.0
    p: float = special.fdtr(degrees, degrees * (count - 1), between / within)
    return p
