"""Lots keep their guarantee, however wrong the expected precision is."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.completeness.lots import (
    LARGEST_SAMPLE,
    PRODUCERS_RISK,
    Promise,
    SamplingPlan,
    chance_to_pass,
    fewest_wrong_of_a_bad_lot,
    form_lots,
    sampling_plan,
)

PROMISE = Promise(0.98, 0.95)


def boxes(chances: list[float], category_id: int = 1) -> list[MinedBox]:
    """Mined boxes of these expected precisions, ten on an image."""
    return [
        MinedBox(
            f"{category_id}-{number}",
            number // 10 + 1,
            category_id,
            (10.0 * (number % 10), 0.0, 10.0 * (number % 10) + 8, 8.0),
            0.9,
            0.5,
            expected_precision=chance,
        )
        for number, chance in enumerate(chances)
    ]


def test_the_sample_of_a_very_large_lot_is_the_binomial_one() -> None:
    """0.98 to the power of 149 is the first that is at most 0.05."""
    assert sampling_plan(1_000_000, 0.9999, PROMISE) == SamplingPlan(149, 0)


def test_a_finite_lot_needs_a_smaller_sample() -> None:
    plan = sampling_plan(400, 0.9999, PROMISE)
    assert plan is not None
    assert plan.allowed == 0
    assert 100 < plan.size < 149
    assert chance_to_pass(400, 9, plan) <= 0.05 < chance_to_pass(400, 9, SamplingPlan(112, 0))


def test_a_lot_that_is_hardly_better_than_promised_is_given_a_fair_chance() -> None:
    plan = sampling_plan(5000, 0.995, PROMISE)
    assert plan is not None
    assert plan.allowed > 0
    assert binom.sf(plan.allowed, plan.size, 0.005) <= PRODUCERS_RISK
    # One less allowed would need a smaller sample, but good lots would fail too often.
    assert binom.sf(plan.allowed - 1, plan.size, 0.005) > PRODUCERS_RISK


@pytest.mark.parametrize(("size", "expected"), [(100, 0.9999), (5000, 0.981), (1, 1.0), (0, 1.0)])
def test_where_a_sample_saves_nothing_there_is_none(size: int, expected: float) -> None:
    assert sampling_plan(size, expected, PROMISE) is None


@pytest.mark.parametrize("precision", [0.9, 0.95, 0.98])
def test_a_lot_just_as_good_as_promised_is_not_a_bad_one(precision: float) -> None:
    """0.1 of 100 are 10, also in floats."""
    wrong = fewest_wrong_of_a_bad_lot(100, precision)
    assert wrong == round(100 * (1 - precision)) + 1


def test_a_lot_holds_the_surest_boxes_of_one_class() -> None:
    made = [*boxes([0.999] * 600 + [0.6] * 300), *boxes([0.9] * 900, category_id=2)]
    (lot,) = form_lots(made, PROMISE, seed=1, round=1)
    assert lot.category_id == 1
    assert lot.expected >= PROMISE.precision
    assert {box.expected_precision for box in lot.boxes} == {0.999}
    assert len(lot.boxes) > 500
    assert len(lot.sample) <= LARGEST_SAMPLE * len(lot.boxes)
    assert lot.sample < {box.region_id for box in lot.boxes}


def test_the_sample_depends_on_seed_and_round_and_not_on_the_order_or_ids() -> None:
    made = boxes([0.999] * 600)
    (lot,) = form_lots(made, PROMISE, seed=1, round=1)
    assert form_lots(made[::-1], PROMISE, seed=1, round=1) == (lot,)
    renamed = [replace(box, region_id=f"other-{box.region_id}") for box in made]
    (same,) = form_lots(renamed, PROMISE, seed=1, round=1)
    assert same.sample == {f"other-{id}" for id in lot.sample}
    for seed, number in ((2, 1), (1, 2)):
        (other,) = form_lots(made, PROMISE, seed=seed, round=number)
        assert other.sample != lot.sample


def test_every_box_is_as_likely_to_be_drawn() -> None:
    drawn = np.zeros(600)
    for seed in range(300):
        (lot,) = form_lots(boxes([0.999] * 600), PROMISE, seed=seed, round=1)
        drawn += [box.region_id in lot.sample for box in lot.boxes]
    share = len(lot.sample) / 600
    spread = np.sqrt(300 * share * (1 - share))
    # Five standard deviations of the most extreme of 600.
    assert np.abs(drawn - 300 * share).max() < 5 * spread


def test_bad_lots_pass_no_more_often_than_promised() -> None:
    """200 lots whose boxes are all said to be nearly certain, around the promised precision."""
    rng = np.random.default_rng(3)
    bad = wrongly_passed = 0
    rates: dict[float, list[bool]] = {}
    for number in range(200):
        precision = (0.95, 0.97, 0.978, 0.99, 0.999)[number % 5]
        made = boxes([0.999] * int(rng.integers(300, 900)))
        (lot,) = form_lots(made, PROMISE, seed=number, round=1)
        # Which boxes are wrong has nothing to do with what was drawn.
        wrong = round((1 - precision) * len(lot.boxes))
        ids = [box.region_id for box in lot.boxes]
        wrong_ids = set(rng.choice(ids, size=wrong, replace=False))
        passes = len(wrong_ids & lot.sample) <= lot.allowed
        rates.setdefault(precision, []).append(passes)
        if wrong / len(lot.boxes) > 1 - PROMISE.precision:
            bad += 1
            wrongly_passed += passes
    for precision, passed in rates.items():
        print(f"lots with {precision:.1%} right: {np.mean(passed):.0%} of {len(passed)} passed")
    print(f"{wrongly_passed} of {bad} lots below {PROMISE.precision:.0%} passed")
    # More than that happens in one of a thousand runs where the promise is just kept.
    assert bad > 100
    assert wrongly_passed <= binom.ppf(0.999, bad, 1 - PROMISE.confidence)
    assert np.mean(rates[0.999]) > 0.7
