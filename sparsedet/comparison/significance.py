"""Whether counts look like one more play of a recipe: a chi-square per table.

How much counts vary is measured on the plays, not assumed: recipes that promise numbers per image
vary less than independent draws, others more. Small counts are not normal, so a chi-square that
speaks against a recipe has to be larger than those of nearly all plays as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from sparsedet.annotations.table import BoolArray, FloatArray

_LEAST = 5.0
"""Bins where fewer are expected are counted together."""
_SETTLED = 1.0
"""Bins where fewer are expected to go, or to stay, are settled: something else in a large one tells
more than a small difference in others."""
_FLOOR = 1.0
"""Least variance of a bin, boxes squared: some plays that agree don't exclude another one."""


@dataclass(frozen=True, slots=True)
class TableTest:
    """The comparison of one table's counts with plays."""

    p: float
    """How often plays alone differ as much; 0 to 1."""
    worst: int
    """The bin that differs most."""
    z: float
    """By how many standard deviations; negative where less was removed than in plays."""


@dataclass(frozen=True, slots=True, eq=False)
class TableCounts:
    """What a table counts, in bins that are large enough."""

    observed: FloatArray
    """Shape (bins,)."""
    plays: FloatArray
    """The same of every play; shape (plays, bins)."""
    rows: tuple[int, ...]
    """The table's bins that these are; one of small ones together is named by the largest."""

    @property
    def degrees(self) -> int:
        """Bins that are independent: the share that was fitted fixes the sum, or nearly so."""
        return max(len(self.rows) - 1, 1)


def large_bins(
    observed: FloatArray, plays: FloatArray, expected: FloatArray, sizes: FloatArray
) -> TableCounts | None:
    """Count small bins together; None where too little is counted.

    Plays alone tell which are small: what is observed must not choose the bins that it is tested
    by.

    Args:
        observed: What is compared; shape (bins,).
        plays: The same of every play; shape (plays, bins).
        expected: The mean of plain counts over plays; shape (bins,).
        sizes: What they were counted among; shape (bins,).
    """
    least = np.minimum(expected, sizes - expected)
    is_large = (least >= _LEAST) | ((least < _SETTLED) & (sizes >= 2 * _LEAST))
    bins = np.flatnonzero(is_large).tolist()
    columns, values = [plays[:, bins]], [observed[bins]]
    rest = ~is_large
    if min(expected[rest].sum(), (sizes - expected)[rest].sum()) >= _LEAST:
        columns.append(plays[:, rest].sum(axis=1, keepdims=True))
        values.append(observed[rest].sum(keepdims=True))
        bins.append(int(np.flatnonzero(rest)[sizes[rest].argmax()]))
    if not bins:
        return None
    return TableCounts(np.concatenate(values), np.concatenate(columns, axis=1), tuple(bins))


def compare_table(table: TableCounts) -> TableTest:
    """Test whether a table's counts look like another play."""
    count, bins = table.plays.shape
    variance = np.maximum(table.plays.var(axis=0, ddof=1), _FLOOR) * (1 + 1 / count)
    z = (table.observed - table.plays.mean(axis=0)) / np.sqrt(variance)
    statistic = float((z * z).sum()) * table.degrees / bins
    worst = int(np.abs(z).argmax())
    p = chi_square_p(statistic, table.degrees, count - 1)
    return TableTest(p, table.rows[worst], float(z[worst]))


def plays_as_far_off(tables: Sequence[TableCounts]) -> int:
    """Return in how many plays the table that is farthest off is as far off as the observed one.

    Observed counts and plays are treated alike, each as one among all; so the rank of the observed
    ones is uniform if they are one more play, however counts are distributed.
    """
    farthest: list[FloatArray] = []
    for table in tables:
        counts = np.concatenate((table.observed[None], table.plays))
        variance = np.maximum(counts.var(axis=0, ddof=1), _FLOOR)
        statistic = ((counts - counts.mean(axis=0)) ** 2 / variance).sum(axis=1)
        # On one scale for tables of many bins and of few; a plain p would end at 0.
        farthest.append(
            -_log_chi_square_p(statistic * table.degrees / len(table.rows), table.degrees)
        )
    extreme = np.max(farthest, axis=0)
    return int((extreme[1:] >= extreme[0]).sum())


def chi_square_p(statistic: float, degrees: int, known: int) -> float:
    """Return the chance of a larger sum of squares whose variances were measured, not known.

    Args:
        statistic: The sum of `degrees` squares, each divided by its measured variance.
        degrees: How many are independent.
        known: Degrees of freedom of each measurement. The chi-square over its degrees is taken to
            be F-distributed, as if one measured variance were shared: exact for one square, and on
            the safe side for several.
    """
    p: float = special.fdtrc(degrees, known, statistic / degrees)
    return p


def _log_chi_square_p(statistic: FloatArray, degrees: int) -> FloatArray:
    """Return the logarithm of the chi-square's upper tail, by Wilson and Hilferty's cube root."""
    root = (statistic / degrees) ** (1 / 3)
    spread = 2 / (9 * degrees)
    logarithm: FloatArray = special.log_ndtr(-(root - (1 - spread)) / np.sqrt(spread))
    return logarithm


def evenness_p(observed: FloatArray, plays: FloatArray, sizes: FloatArray) -> float:
    """Return the chance that counts spread as little about their shares as the observed ones do.

    Args:
        observed: Removed boxes per class; shape (classes,).
        plays: The same of every play; shape (plays, classes), 2 plays or more.
        sizes: Boxes per class; shape (classes,).

    Returns:
        0 to 1; small where classes agree better than chance lets them. 1 where there are no two
        classes that chance decides about.
    """
    mean = (plays.sum(axis=0) + observed) / (len(plays) + 1)
    usable: BoolArray = np.minimum(mean, sizes - mean) >= _LEAST
    count, degrees = len(plays), int(usable.sum()) - 1
    if degrees < 1:
        return 1.0
    share = mean[usable] / sizes[usable]
    unit = sizes[usable] * share * (1 - share)
    centre = plays[:, usable].mean(axis=0)
    within = (((plays[:, usable] - centre) ** 2) / unit).sum() / (degrees * (count - 1))
    # As much as was removed in all: the share may have been fitted on some of the images only.
    expected = centre * (observed[usable].sum() / centre.sum())
    between = (((observed[usable] - expected) ** 2) / unit).sum() / (degrees * (1 + 1 / count))
    if within <= 0:
        return 1.0
    p: float = special.fdtr(degrees, degrees * (count - 1), between / within)
    return p
