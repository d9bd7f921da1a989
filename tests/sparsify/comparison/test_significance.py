"""Chi-square against plays: how often it rejects what is one more play, and what it finds."""

import numpy as np
import pytest
from scipy import special

from benchmarks.coco_sized import Numbers
from sparsedet.sparsify.comparison.significance import chi_square_p, compare_table, evenness_p

SIZES = np.array([400.0, 300.0, 200.0, 100.0, 50.0, 8.0])
CLASSES = np.full(40, 100.0)


def _plays(seed: int, plays: int, sizes: np.ndarray = SIZES) -> np.ndarray:
    """Return how many boxes of every bin are removed when each goes with chance one half."""
    drawn = Numbers(seed).uniform(plays * int(sizes.sum())).reshape(plays, -1) < 0.5
    starts = (np.cumsum(sizes) - sizes).astype(int)
    return np.add.reduceat(drawn, starts, axis=1).astype(np.float64)


def _p(observed: np.ndarray, plays: np.ndarray) -> float:
    found = compare_table(observed, plays, observed, plays.mean(axis=0), SIZES)
    assert found is not None
    return found.p


def test_one_more_play_is_rejected_as_rarely_as_it_should() -> None:
    values = []
    for seed in range(400):
        plays = _plays(seed, 21)
        values.append(_p(plays[0], plays[1:]))
    p = np.array(values)
    assert (p < 0.05).mean() <= 0.07
    assert (p < 0.01).mean() <= 0.02
    assert (p < 0.5).mean() >= 0.2  # it is no test that never rejects


def test_the_bin_that_differs_is_found() -> None:
    plays = _plays(1, 21)
    observed = plays[0].copy()
    observed[2] += 60
    found = compare_table(observed, plays[1:], observed, plays[1:].mean(axis=0), SIZES)
    assert found is not None
    assert found.worst == 2
    assert found.z > 4
    assert found.p < 1e-3


def test_plays_that_agree_leave_room_for_a_box_but_not_for_many() -> None:
    plays = np.tile(SIZES / 2, (20, 1))
    one, many = SIZES / 2 + [1, -1, 0, 0, 0, 0], SIZES / 2 + [20, -20, 0, 0, 0, 0]
    assert _p(one, plays) > 0.5
    assert _p(many, plays) < 1e-6


def test_small_bins_are_counted_together() -> None:
    sizes = np.full(30, 4.0)
    plays = np.tile([1.0, 2.0, 3.0], (20, 10))
    observed = np.full(30, 0.0)
    found = compare_table(observed, plays, observed, plays.mean(axis=0), sizes)
    assert found is not None
    assert found.p < 1e-6
    assert compare_table(observed[:2], plays[:, :2], observed[:2], plays[0, :2], sizes[:2]) is None


@pytest.mark.parametrize("statistic", [0.5, 3.0, 12.0])
def test_one_square_is_students_t(statistic: float) -> None:
    t = statistic**0.5
    assert chi_square_p(statistic, 1, 23) == pytest.approx(2 * special.stdtr(23, -t))


def test_equal_shares_of_all_classes_are_too_even_for_chance() -> None:
    assert evenness_p(CLASSES / 2, _plays(5, 3, CLASSES), CLASSES) < 1e-6
    values = []
    for seed in range(200):
        plays = _plays(seed, 4, CLASSES)
        values.append(evenness_p(plays[3], plays[:3], CLASSES))
    p = np.array(values)
    assert (p < 0.05).mean() <= 0.09
    assert (p < 0.5).mean() >= 0.4


def test_one_class_is_never_too_even() -> None:
    plays = _plays(5, 4)[:, :1]
    assert evenness_p(SIZES[:1] / 2, plays, SIZES[:1]) == 1
