"""Chi-square against replicates: false rejections of another replicate, and power."""

import numpy as np
import pytest
from scipy import special

from benchmarks.coco_sized import Numbers
from sparsedet.annotations.table import FloatArray
from sparsedet.comparison.significance import (
    TableTest,
    chi_square_p,
    compare_table,
    large_bins,
    replicates_as_extreme,
    underdispersion_p,
)

SIZES = np.array([400.0, 300.0, 200.0, 100.0, 50.0, 8.0])
CLASSES = np.full(40, 100.0)


def _plays(seed: int, replicates: int, sizes: FloatArray = SIZES) -> FloatArray:
    """Return how many boxes of every bin are removed when each goes with chance one half."""
    drawn = Numbers(seed).uniform(replicates * int(sizes.sum())).reshape(replicates, -1) < 0.5
    starts = (np.cumsum(sizes) - sizes).astype(int)
    return np.add.reduceat(drawn, starts, axis=1).astype(np.float64)


def _p(observed: FloatArray, replicates: FloatArray) -> float:
    return _test(observed, replicates).p


def _test(observed: FloatArray, replicates: FloatArray, sizes: FloatArray = SIZES) -> TableTest:
    counted = large_bins(observed, replicates, replicates.mean(axis=0), sizes)
    assert counted is not None
    return compare_table(counted)


def test_one_more_play_is_rejected_as_rarely_as_it_should() -> None:
    values = []
    for seed in range(400):
        replicates = _plays(seed, 21)
        values.append(_p(replicates[0], replicates[1:]))
    p = np.array(values)
    assert (p < 0.05).mean() <= 0.07
    assert (p < 0.01).mean() <= 0.02
    assert (p < 0.5).mean() >= 0.2  # it is no test that never rejects


def test_the_bin_that_differs_is_found() -> None:
    replicates = _plays(1, 21)
    observed = replicates[0].copy()
    observed[2] += 60
    found = _test(observed, replicates[1:])
    assert found.worst == 2
    assert found.z > 4
    assert found.p < 1e-3


def test_plays_that_agree_leave_room_for_a_box_but_not_for_many() -> None:
    replicates = np.tile(SIZES / 2, (20, 1))
    one, many = SIZES / 2 + [1, -1, 0, 0, 0, 0], SIZES / 2 + [20, -20, 0, 0, 0, 0]
    assert _p(one, replicates) > 0.5
    assert _p(many, replicates) < 1e-6


def test_small_bins_are_counted_together() -> None:
    sizes = np.full(30, 4.0)
    replicates = np.tile([1.0, 2.0, 3.0], (20, 10))
    observed = np.full(30, 0.0)
    counted = large_bins(observed, replicates, replicates.mean(axis=0), sizes)
    assert counted is not None
    assert len(counted.rows) == 1
    assert compare_table(counted).p < 1e-6
    assert large_bins(observed[:2], replicates[:, :2], replicates[0, :2], sizes[:2]) is None


def test_what_is_observed_does_not_choose_its_bins() -> None:
    replicates = _plays(1, 40)
    rows = [
        counted.rows
        for observed in (np.zeros(6), SIZES, replicates[0])
        if (counted := large_bins(observed, replicates, replicates.mean(axis=0), SIZES))
    ]
    assert len(set(rows)) == 1


def test_large_bins_of_which_nothing_should_go_are_tested() -> None:
    """Small ones are counted together, where what went from one may stand for another."""
    replicates = np.tile([0.0, 400.0], (20, 1))
    sizes = np.array([400.0, 400.0])
    assert _test(np.array([200.0, 200.0]), replicates, sizes).p < 1e-6
    assert _test(np.array([1.0, 399.0]), replicates, sizes).p > 0.1


def test_ranks_among_plays_are_right_for_counts_that_are_not_normal() -> None:
    """Bins that lose many boxes or none, at a chance of 4 %."""
    sizes = np.full(20, 300.0)
    ranks = []
    for seed in range(200):
        chosen = Numbers(seed).uniform(100 * 20).reshape(100, 20) < 0.04
        counts = 60.0 * chosen.astype(np.float64)
        counted = large_bins(counts[0], counts[1:], counts[1:].mean(axis=0), sizes)
        assert counted is not None
        ranks.append(replicates_as_extreme([counted]))
    as_far = np.array(ranks)
    assert (as_far < 5).mean() <= 0.1
    assert (as_far < 50).mean() >= 0.25
    outlier = counts[1:].mean(axis=0) + 100.0
    counted = large_bins(outlier, counts[1:], counts[1:].mean(axis=0), sizes)
    assert counted is not None
    assert replicates_as_extreme([counted]) == 0


@pytest.mark.parametrize("statistic", [0.5, 3.0, 12.0])
def test_one_square_is_students_t(statistic: float) -> None:
    t = statistic**0.5
    assert chi_square_p(statistic, 1, 23) == pytest.approx(2 * special.stdtr(23, -t))


def test_equal_shares_of_all_classes_are_too_even_for_chance() -> None:
    assert underdispersion_p(CLASSES / 2, _plays(5, 3, CLASSES), CLASSES) < 1e-6
    values = []
    for seed in range(200):
        replicates = _plays(seed, 4, CLASSES)
        values.append(underdispersion_p(replicates[3], replicates[:3], CLASSES))
    p = np.array(values)
    assert (p < 0.05).mean() <= 0.09
    assert (p < 0.5).mean() >= 0.4


def test_one_class_is_never_too_even() -> None:
    replicates = _plays(5, 4)[:, :1]
    assert underdispersion_p(SIZES[:1] / 2, replicates, SIZES[:1]) == 1
