"""Expected precision is calibrated where the truth is known."""

from dataclasses import fields, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import check_grad

from sparsedet.completeness.costs import ReviewCosts
from sparsedet.completeness.expected_precision import (
    BEFORE_REVIEWS,
    EarlierRounds,
    carried,
    fit_expected_precision,
)
from sparsedet.completeness.judged import Judged
from sparsedet.completeness.object_count import Count, best_bin
from sparsedet.completeness.precision_likelihood import Likelihood
from sparsedet.completeness.selection import Selection
from sparsedet.mining.candidates import RIGHT, UNKNOWN, WRONG_CLASS, Candidates
from tests.completeness.scenes import Scene, candidates, scene


def error_at(found: Scene, chances: NDArray[np.float64], target: float) -> float:
    """Return actual minus promised precision of the boxes that together promise `target`."""
    order = np.argsort(-chances)
    promised = np.cumsum(chances[order]) / np.arange(1, len(order) + 1)
    count = int(np.flatnonzero(promised >= target)[-1]) + 1
    return float(found.right[order][:count].mean() - promised[count - 1])


def _joined(*parts: Candidates) -> Candidates:
    return Candidates(
        **{
            one.name: np.concatenate([getattr(part, one.name) for part in parts])
            for one in fields(Candidates)
        }
    )


def judged_by(candidates: Candidates, right: NDArray[np.bool_]) -> Judged:
    return Judged(candidates, right=right, on_object=right)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("wrong", [1.0, 8.0])
def test_hidden_annotations_calibrate_before_any_review(seed: int, wrong: float) -> None:
    found = scene(wrong=wrong, seed=seed)
    fitted = fit_expected_precision(found.candidates, [1], hidden=found.hidden)
    chances = fitted.of(found.candidates.unknown)
    for target in (0.8, 0.9, 0.95):
        assert -0.05 < error_at(found, chances, target) < 0.15
    assert np.sum(chances) / fitted.seen == pytest.approx(sum(found.missing.values()), rel=0.3)


@pytest.mark.parametrize("seed", range(4))
def test_reviews_calibrate_within_three_points(seed: int) -> None:
    found = scene(images=400, wrong=8.0, seed=seed)
    unknown = found.candidates.unknown
    reviewed = unknown.image_ids <= 150
    judged = judged_by(unknown.select(reviewed), found.right[reviewed])
    fitted = fit_expected_precision(found.candidates, [1], hidden=found.hidden, judged=judged)
    rest = replace(found, right=found.right[~reviewed])
    chances = fitted.of(unknown.select(~reviewed))
    for target in (0.8, 0.9, 0.95):
        assert abs(error_at(rest, chances, target)) < 0.03


def test_objects_of_another_class_say_what_the_score_of_an_object_is_worth() -> None:
    found = scene(images=400)
    unknown = found.candidates.unknown
    never_right = np.zeros(len(unknown), dtype=bool)
    judged = Judged(unknown, right=never_right, on_object=found.right)
    fitted = fit_expected_precision(unknown, [1], hidden=0, judged=judged)
    assert fitted.of(unknown).sum() < 0.05 * found.right.sum()
    assert fitted.of_object(unknown).sum() == pytest.approx(found.right.sum(), rel=0.1)


def test_the_share_that_is_seen_comes_from_hidden_annotations() -> None:
    found = scene(seen=0.6)
    fitted = fit_expected_precision(found.candidates, [1], hidden=found.hidden)
    assert fitted.seen == pytest.approx(0.6, abs=0.08)


def test_classes_that_are_confused_lower_the_chance() -> None:
    found = scene()
    known = found.candidates.known.copy()
    on_hidden = np.flatnonzero(known == RIGHT)
    known[on_hidden[::2]] = WRONG_CLASS
    confused = replace(found.candidates, known=known)
    sure = fit_expected_precision(found.candidates, [1], hidden=found.hidden)
    unsure = fit_expected_precision(confused, [1], hidden=found.hidden)
    top = candidates([(1, 0.97, 0)])
    assert unsure.of(top)[0] < 0.75 < 0.9 < sure.of(top)[0]
    assert unsure.of_object(top)[0] == pytest.approx(sure.of_object(top)[0], abs=0.02)


def test_overlapping_candidates_are_less_likely_right() -> None:
    alone = candidates([(1, 0.9, 0)])
    inside = replace(alone, nested=np.array([0.95]))
    fitted = fit_expected_precision(alone, [1], hidden=0)
    assert fitted.of(inside)[0] < 0.5 * fitted.of(alone)[0]


def test_without_anything_known_the_coefficients_are_those_of_other_data() -> None:
    fitted = fit_expected_precision(candidates([(1, 0.9, 0), (1, 0.2, 0)]), [1], hidden=0)
    np.testing.assert_allclose(fitted.parameters.object, BEFORE_REVIEWS.object, atol=1e-4)
    assert (fitted.hidden, fitted.judged) == (0, 0)


def test_what_reviews_said_of_a_model_holds_for_the_next_one() -> None:
    found = scene(images=300, seed=1)
    unknown = found.candidates.unknown
    judged = judged_by(unknown, found.right)
    first = fit_expected_precision(found.candidates, [1], hidden=found.hidden, judged=judged)
    few = found.candidates.select(found.candidates.image_ids <= 10)
    fitted = fit_expected_precision(few, [1], hidden=5, earlier=EarlierRounds(carried(first)))
    np.testing.assert_allclose(fitted.parameters.object, first.parameters.object, atol=0.6)


def test_what_reviewers_left_is_harder_than_hidden_annotations() -> None:
    found = scene(images=400, wrong=8.0)
    unknown = found.candidates.unknown
    first = fit_expected_precision(
        found.candidates, [1], hidden=found.hidden, judged=judged_by(unknown, found.right)
    )
    # The surest objects have a box now; the model was trained on the others as background.
    left = unknown.select(~found.right | (unknown.scores < 0.7))
    hard = ~found.right | (unknown.scores < 0.7)
    right = found.right[hard]
    count = Count(float(right.sum()), 0.2)
    on_hidden = found.candidates.select(found.candidates.known != UNKNOWN)
    together = _joined(left, on_hidden)
    everywhere, nowhere = (
        fit_expected_precision(
            together,
            [1],
            hidden=found.hidden,
            earlier=EarlierRounds(carried(first), count, unreviewed),
        )
        for unreviewed in (1.0, 0.0)
    )
    assert everywhere.of(left).sum() < 0.75 * right.sum()
    assert nowhere.of(left).sum() == pytest.approx(right.sum(), rel=0.25)


def test_a_model_that_has_learned_nothing_does_not_flood_reviewers() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.1, 0.7, 10_000)
    alike = candidates(
        [(1 + row // 100, score, RIGHT if row < 3 else UNKNOWN) for row, score in enumerate(scores)]
    )
    few = fit_expected_precision(alike, [1], hidden=22, annotated=224)
    chances, objects = few.of(alike.unknown), few.of_object(alike.unknown)
    assert objects.sum() < 1000
    assert Selection(ReviewCosts()).shows(chances, objects).mean() < 0.02


def test_what_is_plausible_changes_nothing_where_scores_tell_objects_apart() -> None:
    found = scene()
    without, with_ = (
        fit_expected_precision(found.candidates, [1], hidden=found.hidden, annotated=annotated).of(
            found.candidates.unknown
        )
        for annotated in (0, len(found.dataset.boxes))
    )
    assert np.array_equal(without, with_)
    # Even where people have drawn one object in twenty.
    found = scene(labelled=0.05, hidden=0.5)
    fitted = fit_expected_precision(
        found.candidates, [1], hidden=found.hidden, annotated=len(found.dataset.boxes)
    )
    missing = sum(found.missing.values())
    assert fitted.of(found.candidates.unknown).sum() == pytest.approx(missing, rel=0.25)


def test_the_best_bin_counts_the_objects() -> None:
    found = scene(wrong=8.0)
    objects, spread = best_bin(found.candidates, found.hidden) or (0.0, 0.0)
    assert objects == pytest.approx(sum(found.missing.values()), rel=0.25)
    assert 0.08 <= spread < 0.3


def test_absent_classes_lower_the_chance_of_a_class_more_than_that_of_an_object() -> None:
    """There may be an object of another class."""
    found = scene(images=200)
    unknown = found.candidates.unknown
    wrong = unknown.select(unknown.scores > 0.5)
    nothing = np.zeros(len(wrong), dtype=bool)
    sure = Judged(wrong, right=nothing, on_object=nothing)
    absent = replace(sure, not_right_alone=~nothing)
    plain, none, other = (
        fit_expected_precision(found.candidates, [1], hidden=found.hidden, judged=judged)
        for judged in (None, sure, absent)
    )
    top = candidates([(1, 0.9, 0)])
    assert other.of(top)[0] < 0.5 * plain.of(top)[0]
    assert none.of_object(top)[0] < other.of_object(top)[0] < plain.of_object(top)[0]
    assert other.judged == len(wrong)


@pytest.mark.parametrize("with_reviews", [False, True])
def test_the_gradient_is_that_of_the_value(with_reviews: bool) -> None:
    found = scene(images=20)
    unknown = found.candidates.unknown
    judged = judged_by(unknown.select(np.arange(20)), found.right[:20])
    judged = replace(judged, not_right_alone=(np.arange(20) < 10) & ~found.right[:20])
    likelihood = Likelihood.of(
        found.candidates,
        {1: 0},
        judged if with_reviews else None,
        BEFORE_REVIEWS,
        objects=None if with_reviews else (np.log(50.0), 0.3),
        # So few that the candidates seem too many.
        most=np.log(9.0),
        hidden_weight=0.5,
    )
    x = likelihood.start() + 0.1
    error = check_grad(lambda x: likelihood.value(x)[0], lambda x: likelihood.value(x)[1], x)
    assert error < 1e-3 * np.linalg.norm(likelihood.value(x)[1])
