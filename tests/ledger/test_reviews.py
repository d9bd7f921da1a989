"""Reviews settle outcomes, and merges bring them into the source."""

from dataclasses import replace

import pytest

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.ledger import Ledger, judge
from sparsedet.tool import MergedImage, ReviewedRegion
from tests.ledger.builders import (
    MINED,
    SPOT,
    dataset,
    drafts,
    kept,
    new_push,
    outcomes,
    review,
)

PLACE = new_push().place


@pytest.fixture(autouse=True)
def pushed(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED, dataset())


def _in_source(ledger: Ledger) -> set[str]:
    return {box.region_id for box in ledger.boxes() if box.in_source}


@pytest.mark.parametrize(
    ("final", "outcome"),
    [
        (None, "rejected"),
        (ReviewedRegion("x", "cat", SPOT), "accepted"),
        (ReviewedRegion("x", "cat", (9.0, 11.0, 51.0, 49.0)), "accepted"),  # one pixel
        (ReviewedRegion("x", "cat", (8.9, 10.0, 50.0, 50.0)), "edited"),
        (ReviewedRegion("x", "cat", (10.0, 10.0, 50.0, 51.1)), "edited"),
        (ReviewedRegion("x", "dog", SPOT), "edited"),
        (ReviewedRegion("x", "dog", SPOT, unsure=True), "pending"),
    ],
)
def test_judge(final: ReviewedRegion | None, outcome: str) -> None:
    assert judge("cat", SPOT, final) == outcome


def test_reviews_settle_outcomes(ledger: Ledger) -> None:
    wider = ReviewedRegion("a1", "cat", (10.0, 10.0, 60.0, 50.0))
    ledger.record_reviews(PLACE, [review(wider, kept("own", "dog"))])
    assert outcomes(ledger) == {"a1": "edited", "a2": "rejected", "b1": "pending"}
    edited, rejected, _ = ledger.boxes()
    assert (edited.reviewer, edited.seconds) == ("ann@example.com", 4.0)
    assert (edited.final_category, edited.final_xyxy) == ("cat", (10.0, 10.0, 60.0, 50.0))
    assert (rejected.final_category, rejected.final_xyxy) == (None, None)
    assert _in_source(ledger) == set()


def test_all_pushes_of_a_place_are_settled_and_no_other(ledger: Ledger) -> None:
    ledger.record_push(new_push("run-2"), [MinedBox("c1", 1, 1, SPOT, 0.9, 0.5)], dataset())
    ledger.record_push(drafts(), [MinedBox("d1", 1, 1, SPOT, 0.9, 0.5)], dataset())
    ledger.record_reviews(PLACE, [review(shown="a1 a2 c1 d1")])
    assert outcomes(ledger) == {
        "a1": "rejected",
        "a2": "rejected",
        "b1": "pending",
        "c1": "rejected",
        "d1": "pending",
    }


def test_an_undecided_box_stays_pending(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, [review(kept("a1", unsure=True), kept("a2", "dog"))])
    assert outcomes(ledger) == {"a1": "pending", "a2": "accepted", "b1": "pending"}
    undecided = ledger.boxes()[0]
    assert (undecided.reviewer, undecided.final_category) == ("ann@example.com", None)


def test_a_box_that_nobody_was_shown_is_not_rejected(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, [review(kept("a1"), shown="a1")])
    assert outcomes(ledger) == {"a1": "accepted", "a2": "pending", "b1": "pending"}


def test_several_reviews_of_an_image_each_judge_what_they_were_shown(ledger: Ledger) -> None:
    reviews = [
        review(kept("a1"), shown="a1"),
        review(shown="a2", reviewer="bob@example.com"),
    ]
    ledger.record_reviews(PLACE, reviews)
    assert outcomes(ledger) == {"a1": "accepted", "a2": "rejected", "b1": "pending"}
    assert [box.reviewer for box in ledger.boxes()] == ["ann@example.com", "bob@example.com", None]


def test_a_withdrawn_review_withdraws_its_outcomes(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, [review()])
    assert outcomes(ledger)["a1"] == "rejected"
    ledger.record_reviews(PLACE, [])
    assert set(outcomes(ledger).values()) == {"pending"}
    assert all(box.reviewer is None for box in ledger.boxes())


def test_a_rejection_outlives_the_tools_memory_of_what_was_shown(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, [review()])
    ledger.record_reviews(PLACE, [review(shown="")])
    assert outcomes(ledger) == {"a1": "rejected", "a2": "rejected", "b1": "pending"}


def test_in_draft_mode_the_source_holds_every_outcome(ledger: Ledger) -> None:
    ledger.record_push(drafts(), MINED, dataset())  # pending boxes move there
    reviews = [review(kept("a1"), kept("a2", "dog", unsure=True))]
    ledger.record_reviews(drafts().place, reviews)
    assert outcomes(ledger) == {"a1": "accepted", "a2": "pending", "b1": "pending"}
    assert _in_source(ledger) == {"a1"}


def test_a_merge_brings_settled_boxes_into_the_source(ledger: Ledger) -> None:
    reviews = [
        review(kept("a1"), kept("a2", "dog", unsure=True)),
        review(tool_id="12", shown="b1"),
    ]
    ledger.record_reviews(PLACE, reviews)
    merged = [MergedImage("11", "changed", version="v2"), MergedImage("12", "conflict")]
    ledger.record_merge(PLACE, merged)
    assert _in_source(ledger) == {"a1"}
    ledger.record_reviews(PLACE, reviews)
    assert _in_source(ledger) == {"a1"}


def test_a_review_that_changed_after_its_merge_is_not_in_the_source(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, [review(kept("a1"), kept("a2", "dog"))])
    ledger.record_merge(PLACE, [MergedImage("11", "changed", version="v2")])
    moved = ReviewedRegion("a1", "cat", (10.0, 10.0, 50.5, 50.0))
    ledger.record_reviews(PLACE, [review(moved, kept("a2", "dog"))])
    assert _in_source(ledger) == {"a2"}
    ledger.record_reviews(PLACE, [])
    assert _in_source(ledger) == set()


def test_the_last_review_that_was_shown_a_box_decides(ledger: Ledger) -> None:
    first = review(kept("a1"), shown="a1 a2", seconds=5.0)
    deleted = review(shown="a1", reviewer="bob@example.com")
    ledger.record_reviews(PLACE, [first, deleted])
    assert outcomes(ledger) == {"a1": "rejected", "a2": "rejected", "b1": "pending"}
    # Who only leaves a box as it is does not take the credit for it.
    left = review(kept("a1"), shown="a1", reviewer="bob@example.com", seconds=9.0)
    ledger.record_reviews(PLACE, [first, left])
    accepted = ledger.boxes()[0]
    assert (accepted.outcome, accepted.reviewer) == ("accepted", "ann@example.com")
    assert accepted.seconds == 5.0


def test_a_server_that_moved_keeps_its_projects(ledger: Ledger) -> None:
    ledger.relocate("label-studio", "9", "http://elsewhere")
    assert ledger.places() == [PLACE]
    ledger.relocate("label-studio", "7", "http://elsewhere")
    (place,) = ledger.places()
    assert place == replace(PLACE, url="http://elsewhere")
    assert {image.version for image in ledger.pushed_images(place)} == {"v1"}
    # Pushed to again under its old address, an image is known by both.
    ledger.record_push(new_push("run-2"), MINED, dataset("v2"))
    ledger.relocate("label-studio", "7", "http://elsewhere")
    assert [image.tool_id for image in ledger.pushed_images(place)] == ["11", "12"]
