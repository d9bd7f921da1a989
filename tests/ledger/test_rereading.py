"""Reading reviews again: withdrawn, deleted with their task, or saved once more."""

from dataclasses import replace
from typing import Any

import pytest

from sparsedet.ledger import Ledger
from sparsedet.push_modes import PlaceReviews
from sparsedet.reviews import Review
from tests.ledger.builders import (
    MINED,
    dataset,
    kept,
    mined_region,
    new_push,
    outcomes,
    read,
    review,
)

PLACE = new_push().place
LATE = "2026-05-09T10:00:00Z"


@pytest.fixture(autouse=True)
def pushed(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED, dataset())


def test_a_withdrawn_review_withdraws_its_outcomes(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(review()))
    assert outcomes(ledger)["a1"] == "rejected"
    ledger.record_reviews(PLACE, read())
    assert set(outcomes(ledger).values()) == {"pending"}
    assert all(box.reviewer is None for box in ledger.boxes())
    assert ledger.image_reviews(PLACE.source) == []


def test_a_withdrawn_review_withdraws_its_outcomes_where_others_remain(ledger: Ledger) -> None:
    other = review(shown="a2", day=2)
    ledger.record_reviews(PLACE, read(review(kept("a1"), shown="a1"), other))
    ledger.record_reviews(PLACE, read(other))
    assert outcomes(ledger) == {"a1": "pending", "a2": "rejected", "b1": "pending"}


def test_an_image_that_the_place_forgot_keeps_its_outcomes(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(review(kept("a1")), review(tool_id="12", shown="b1")))
    ledger.record_reviews(PLACE, read(known="12"))
    assert outcomes(ledger) == {"a1": "accepted", "a2": "rejected", "b1": "pending"}
    assert [image.tool_id for image in ledger.image_reviews(PLACE.source)] == ["11"]
    ledger.record_reviews(PLACE, PlaceReviews())
    assert outcomes(ledger) == {"a1": "accepted", "a2": "rejected", "b1": "pending"}


def test_a_review_task_that_was_deleted_takes_nothing_back(ledger: Ledger) -> None:
    """Tidy people delete what is done, also while another task of the image waits."""
    first, other = review(kept("a1"), offer="t1"), review(tool_id="12", shown="b1", offer="t2")
    ledger.record_reviews(PLACE, read(first, other))
    before = outcomes(ledger)
    known = ledger.image_reviews(PLACE.source)
    ledger.record_reviews(PLACE, PlaceReviews((), frozenset({"11", "12"}), frozenset({"t3"})))
    assert outcomes(ledger) == before == {"a1": "accepted", "a2": "rejected", "b1": "rejected"}
    assert ledger.image_reviews(PLACE.source) == known
    # Nor does a review of the other task.
    later = review(kept("a1"), shown="a1", offer="t3", day=2)
    ledger.record_reviews(PLACE, PlaceReviews((later,), frozenset({"12"}), frozenset({"t3"})))
    assert outcomes(ledger) == before
    assert ledger.image_reviews(PLACE.source)[0].reviews == (first, later)


def test_of_several_review_tasks_one_may_be_reviewed_no_more(ledger: Ledger) -> None:
    first = review(kept("a1"), shown="a1", offer="t1")
    second = review(kept("a2", "dog"), shown="a2", offer="t2", day=2)
    ledger.record_reviews(PLACE, read(first, second))
    offers = frozenset({"t1", "t2"})
    ledger.record_reviews(PLACE, PlaceReviews((second,), frozenset({"12"}), offers))
    assert outcomes(ledger) == {"a1": "pending", "a2": "accepted", "b1": "pending"}
    ledger.record_reviews(PLACE, PlaceReviews((), frozenset({"12"}), frozenset({"t1"})))
    assert outcomes(ledger) == {"a1": "pending", "a2": "accepted", "b1": "pending"}


def test_a_review_that_became_a_skip_says_nothing_any_more(ledger: Ledger) -> None:
    other = review(shown="a2", day=2)
    ledger.record_reviews(PLACE, read(review(kept("a1"), shown="a1"), other))
    skipped = review(shown="", skipped=True)
    ledger.record_reviews(PLACE, read(skipped, other))
    assert outcomes(ledger) == {"a1": "pending", "a2": "rejected", "b1": "pending"}
    ledger.record_reviews(PLACE, read(skipped))
    assert outcomes(ledger) == {"a1": "pending", "a2": "pending", "b1": "pending"}


@pytest.fixture
def overruled(ledger: Ledger) -> list[Review]:
    """Bob has moved a1 after Ann accepted it, in another review task."""
    drawn = kept("own", "bird", content=({"id": "own"},))
    first = review(kept("a1"), drawn, shown="a1 a2")
    moved = kept("a1", xyxy=(20.0, 10.0, 60.0, 50.0))
    second = review(moved, shown="a1", day=2, reviewer="bob@example.com")
    ledger.record_reviews(PLACE, read(first, second))
    assert ledger.boxes()[0].final_xyxy == (20.0, 10.0, 60.0, 50.0)
    return [first, second]


@pytest.mark.parametrize(
    "again",
    [
        {"ground_truth": True},
        {"reviewer": "carol@example.com", "seconds": 60.0},
        {"regions": (kept("own", "bird"), kept("a1", xyxy=(10.5, 10.0, 50.0, 50.0)))},
        {"shown": {}},  # the prediction was deleted
    ],
)
def test_who_saves_an_old_review_as_it_was_says_nothing_new(
    again: dict[str, Any], overruled: list[Review], ledger: Ledger
) -> None:
    first, second = overruled
    saved = replace(first, saved_at=LATE, **again)
    for _ in range(2):  # also when it is read once more
        ledger.record_reviews(PLACE, read(saved, second))
        (image,) = ledger.image_reviews(PLACE.source)
        kept_as = next(r for r in image.reviews if r.review_id == first.review_id)
        assert kept_as == replace(saved, saved_at=first.saved_at)
        assert ledger.boxes()[0].final_xyxy == (20.0, 10.0, 60.0, 50.0)


@pytest.mark.parametrize(
    ("again", "outcome"),
    [
        ({"regions": (kept("own", "bird"),)}, "rejected"),
        ({"regions": (kept("a1", xyxy=(14.0, 10.0, 50.0, 50.0)), kept("own", "bird"))}, "edited"),
        ({"regions": (kept("a1", "dog"), kept("own", "bird"))}, "edited"),
        ({"regions": (kept("a1", unsure=True), kept("own", "bird"))}, "pending"),
        ({"regions": (kept("a1"), kept("own", "bird"), kept("new"))}, "edited"),
        ({"shown": {id: mined_region(id) for id in ("a1", "a2", "b1")}}, "edited"),
        ({"complete": True}, "edited"),
    ],
)
def test_who_changes_boxes_has_the_last_word(
    again: dict[str, Any], outcome: str, overruled: list[Review], ledger: Ledger
) -> None:
    first, second = overruled
    saved = replace(first, saved_at=LATE, **again)
    ledger.record_reviews(PLACE, read(saved, second))
    (image,) = ledger.image_reviews(PLACE.source)
    assert saved in image.reviews
    assert image.verdict().complete == saved.complete
    assert ledger.boxes()[0].outcome == outcome


def test_a_review_may_turn_out_to_be_older(overruled: list[Review], ledger: Ledger) -> None:
    """Of files nobody knows when each image was reviewed, until the next version went up."""
    first, second = overruled
    older = replace(second, saved_at="2026-05-01T12:00:00+09:00")
    ledger.record_reviews(PLACE, read(first, older))
    (image,) = ledger.image_reviews(PLACE.source)
    assert older in image.reviews
