"""Images that were judged but not marked as complete hold missing objects."""

import numpy as np
import pytest

from sparsedet.completeness.expected_missing import ExpectedMissing
from sparsedet.completeness.unmarked import marking_rate, with_unmarked

IMAGES = range(2000)


@pytest.mark.parametrize("habit", [1.0, 0.5, 0.0])
def test_what_is_missing_is_on_the_images_without_a_mark(habit: float) -> None:
    draws = np.random.default_rng(1)
    mean = {id: 0.1 + 0.5 * (id % 2) for id in IMAGES}
    missing = {id: int(draws.poisson(mean[id])) for id in IMAGES}
    marked = {id for id in IMAGES if not missing[id] and draws.random() < habit}
    rate = marking_rate(mean, IMAGES, marked)
    assert rate == pytest.approx(habit, abs=0.05)
    expected = ExpectedMissing(dict.fromkeys(IMAGES, 0.0), mean)
    left = set(IMAGES) - marked
    found = with_unmarked(expected, left, rate).of(left)
    assert found.total == pytest.approx(sum(missing.values()), rel=0.08)
    for half in (0, 1):
        ids = [id for id in left if id % 2 == half]
        actual = sum(missing[id] for id in ids)
        assert sum(found.by_image[id] for id in ids) == pytest.approx(actual, rel=0.15)


def test_where_nothing_was_expected_a_mark_says_nothing() -> None:
    nothing = ExpectedMissing({1: 0.0}, {1: 0.0})
    assert with_unmarked(nothing, [1, 7], 1.0) == nothing
    assert marking_rate({}, [], []) == 0.0
