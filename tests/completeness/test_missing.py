"""Uncertainty of the number of missing objects, for judged images and others."""

import pytest

from sparsedet.completeness.estimate import Missing
from sparsedet.completeness.evidence import Found
from sparsedet.completeness.expected_missing import ExpectedMissing
from sparsedet.completeness.ratio import (
    PRIOR_RATIO,
    Ratio,
    leftover_ratio,
    updated_ratio,
    with_doubt,
)


def expected(**numbers: float) -> ExpectedMissing:
    by_image = {int(name[1:]): number for name, number in numbers.items()}
    return ExpectedMissing(by_image, dict.fromkeys(by_image, 0.0))


def test_parts_of_the_images_have_ratios_of_their_own() -> None:
    sure, doubtful = Ratio(400, 200), Ratio(4, 8)
    missing = Missing.of((expected(i1=10, i2=20), sure), (expected(i3=40), doubtful))
    assert missing.by_image == {1: 20, 2: 40, 3: 20}
    # Standard deviations: 5 % of 60, 50 % of 20.
    assert missing.shape == pytest.approx(80**2 / (3**2 + 10**2))
    assert Missing.of((expected(i1=30), sure)).shape == pytest.approx(400)
    assert Missing.of((expected(), sure)).count is None


def test_the_rest_is_known_by_what_people_drew_next_to_boxes() -> None:
    found = [
        Found(1, objects=9, among_candidates=9, audit=False, not_shown=2),
        Found(2, objects=7, among_candidates=7, audit=True, not_shown=7),
    ]
    one = expected(i1=1.0, i2=1.0)
    assert leftover_ratio(found, one).mean > 1
    # An image without shown boxes says nothing of what they leave.
    assert leftover_ratio(found, one) == leftover_ratio(found[:1], one)


def test_images_that_were_not_drawn_at_random_make_nobody_sure() -> None:
    many = [Found(id, 50, 50, audit=False) for id in range(100)]
    numbers = ExpectedMissing(dict.fromkeys(range(100), 50.0), dict.fromkeys(range(100), 0.0))
    chosen = updated_ratio(many, numbers, PRIOR_RATIO)
    drawn = updated_ratio([Found(0, 50, 50, audit=True)], numbers, PRIOR_RATIO)
    assert chosen.mean == pytest.approx(1)
    assert chosen.shape < 2.5 * PRIOR_RATIO.shape < drawn.shape


def test_doubt_widens_the_ratio_up_to_what_models_err_at_most() -> None:
    assert with_doubt(PRIOR_RATIO, 1.0) == PRIOR_RATIO
    sharper = with_doubt(PRIOR_RATIO, 0.2)
    assert sharper.mean == 1
    assert sharper.shape == pytest.approx((0.75 * 0.2) ** -2)
    assert with_doubt(PRIOR_RATIO, 0.0).shape == pytest.approx(0.1**-2)
