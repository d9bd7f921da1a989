"""Whether counts look like one more play of a recipe: a chi-square per table.

How much counts vary is measured on the plays, not assumed: recipes that promise numbers per image
vary less than independent draws, others more.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from sparsedet.annotations.table import BoolArray, FloatArray

_LEAST = 5.0
"""Bins where fewer are expected are counted together."""
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


def compare_table(
    observed: FloatArray,
    plays: FloatArray,
    removed: FloatArray,
    expected: FloatArray,
    sizes: FloatArray,
) -> TableTest | None:
    """Test whether counts look like another play; None where too little is counted.

    Args:
        observed: What is compared; shape (bins,).
        plays: The same of every play; shape (plays, bins).
        removed: Plain counts that tell which bins are too small; shape (bins,).
        expected: Their mean over plays; shape (bins,).
        sizes: What they were counted among; shape (bins,).
    """
    middle = (removed + expected) / 2
    is_large = np.minimum(middle, sizes - middle) >= _LEAST
    bins = np.flatnonzero(is_large).tolist()
    columns = [plays[:, bins]]
    values = [observed[bins]]
    rest = ~is_large
    if min(middle[rest].sum(), (sizes - middle)[rest].sum()) >= _LEAST:
        columns.append(plays[:, rest].sum(axis=1, keepdims=True))
        values.append(observed[rest].sum(keepdims=True))
        # Named by the largest of them.
        bins.append(int(np.flatnonzero(rest)[sizes[rest].argmax()]))
    if not bins:
        return None
    played, value = np.concatenate(columns, axis=1), np.concatenate(values)
    count = len(played)
    variance = np.maximum(played.var(axis=0, ddof=1), _FLOOR) * (1 + 1 / count)
    z = (value - played.mean(axis=0)) / np.sqrt(variance)
    # The share that was fitted fixes the sum over all bins, or nearly so.
    degrees = max(len(bins) - 1, 1)
    statistic = float((z * z).sum()) * degrees / len(bins)
    worst = int(np.abs(z).argmax())
    p = chi_square_p(statistic, degrees, count - 1)
    return TableTest(p, bins[worst], float(z[worst]))


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
