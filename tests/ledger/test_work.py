"""The work in each review, its round, and drawn boxes."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from sparsedet.annotations import XYXY
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.ledger import DrawnBox, Ledger, QueueEntry, ReviewWork
from sparsedet.reviews import Review
from tests.ledger.builders import (
    MINED,
    SPOT,
    dataset,
    drafts,
    kept,
    mined_region,
    new_push,
    read,
    review,
)

PLACE = new_push().place
CORNER: XYXY = (60.0, 60.0, 90.0, 90.0)
OWN = kept("own", "dog", CORNER)
LATER = MinedBox("c1", 1, 1, CORNER, 0.6, 0.5)
QUEUE = [QueueEntry(1, boxes=2), QueueEntry(2, audit=True)]


@pytest.fixture(autouse=True)
def pushed(ledger: Ledger) -> None:
    """Image 11 went up with two boxes, 12 as an audit image."""
    ledger.record_push(new_push(round=1), MINED[:2], dataset(), queue=QUEUE)


def test_a_review_is_work(ledger: Ledger) -> None:
    wider = kept("a1", xyxy=(10.0, 10.0, 70.0, 50.0))
    first = review(wider, OWN, kept("more", xyxy=CORNER), seconds=30.0)
    second = review(OWN, shown="", tool_id="12", day=2, seconds=None, complete=True)
    ledger.record_reviews(PLACE, read(second, first))
    assert ledger.review_work() == [
        ReviewWork(
            tool_id="11",
            round=1,
            seconds=30.0,
            shown=2,
            corrected=2,
            drawn=2,
            complete=False,
            audit=False,
            saved_at=first.saved_at,
            review_id=first.review_id,
        ),
        ReviewWork(
            tool_id="12",
            round=1,
            seconds=None,
            shown=0,
            corrected=0,
            drawn=1,
            complete=True,
            audit=True,
            saved_at=second.saved_at,
            review_id=second.review_id,
        ),
    ]


def _work(ledger: Ledger, *reviews: Review) -> list[tuple[int, int, int]]:
    ledger.record_reviews(PLACE, read(*reviews))
    return [(work.shown, work.corrected, work.drawn) for work in ledger.review_work()]


def test_boxes_of_people_are_work_when_they_change(ledger: Ledger) -> None:
    human = kept("h1", xyxy=CORNER)
    shown = {"a1": mined_region("a1"), "h1": human, "h2": human}
    left = review(kept("a1"), replace(human, category="dog"))
    assert _work(ledger, replace(left, shown=shown)) == [(1, 2, 0)]


def test_what_is_left_undecided_is_no_change(ledger: Ledger) -> None:
    left = review(kept("a1", unsure=True), kept("a2", "dog"), replace(OWN, unsure=True))
    assert _work(ledger, left) == [(2, 0, 0)]


def test_a_skipped_image_is_no_work(ledger: Ledger) -> None:
    assert _work(ledger, review(skipped=True, shown="")) == []


def test_a_box_that_was_accepted_earlier_waits_for_nobody(ledger: Ledger) -> None:
    first = review(kept("a1"), kept("a2", "dog", unsure=True), OWN)
    shown = {"a1": kept("a1"), "a2": mined_region("a2"), "own": OWN}
    second = replace(review(*shown.values(), day=2), shown=shown)
    assert _work(ledger, first, second) == [(2, 0, 1), (1, 0, 0)]


def test_of_reviews_made_side_by_side_each_is_work(ledger: Ledger) -> None:
    reviews = [
        review(kept("a1"), kept("a2", "dog"), offer="t1", reviewer="ann"),
        review(kept("a1"), offer="t1", day=2, reviewer="bob"),
    ]
    assert _work(ledger, *reviews) == [(2, 0, 0), (2, 1, 0)]
    (counts,) = ledger.rounds()
    assert (counts.reviewed_images, counts.seconds) == (1, 8.0)


def _drawn(*regions: Any, **more: Any) -> Review:
    return review(*regions, shown="", tool_id="12", **more)


def test_drawn_boxes_stand_as_reviewers_left_them(ledger: Ledger) -> None:
    moved = replace(OWN, xyxy=SPOT)
    later = replace(_drawn(moved, day=2), shown={"own": OWN, "gone": kept("gone")})
    ledger.record_reviews(PLACE, read(_drawn(OWN, kept("gone")), later))
    assert ledger.drawn() == [DrawnBox("12", "dog", SPOT, 1, "12-2", "own")]
    counts = ledger.counts()
    assert (counts.drawn, counts.total, counts.precision) == (1, 2, None)
    assert counts.by_category["dog"] == {
        **{"accepted": 0, "edited": 0, "rejected": 0, "pending": 1},
        **{"withdrawn": 0, "sampled": 0, "drawn": 1},
    }


def test_drawn_boxes_are_no_accepted_ones(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(review(kept("a1"), OWN, kept("bird", "bird", CORNER))))
    assert [box.region_id for box in ledger.drawn()] == ["bird", "own"]
    counts = ledger.counts()
    assert (counts.accepted, counts.rejected, counts.judged, counts.drawn) == (1, 1, 2, 2)
    assert counts.categories()["bird"].drawn == 1
    (in_round,) = ledger.rounds()
    assert in_round.outcomes == counts


def test_a_rule_says_what_was_drawn_side_by_side(ledger: Ledger) -> None:
    both = [
        _drawn(kept("one", "cat", SPOT), offer="t1"),
        _drawn(OWN, offer="t1", day=2, reviewer="bob"),
    ]
    ledger.record_reviews(PLACE, read(*both))
    assert [box.region_id for box in ledger.drawn()] == ["own"]
    assert [box.region_id for box in ledger.drawn("union")] == ["one", "own"]
    assert (ledger.counts().drawn, ledger.counts("union").drawn) == (1, 2)
    assert ledger.rounds("union")[0].outcomes.drawn == 2


def test_images_of_two_projects_are_told_apart(ledger: Ledger) -> None:
    """Tools number images alike."""
    other = new_push("run-2", project="99", review_project="98", round=2)
    ledger.record_push(other, [], dataset(), queue=QUEUE[1:])
    ledger.record_reviews(PLACE, read(_drawn(OWN)))
    ledger.record_reviews(other.place, read(_drawn(OWN)))
    assert sorted(box.round or 0 for box in ledger.drawn()) == [1, 2]


LONG_BEFORE, MUCH_LATER = "2000-01-01T00:00:00Z", "2999-01-01T00:00:00Z"


@pytest.mark.parametrize("saved_at", [MUCH_LATER, LONG_BEFORE, ""])
def test_a_review_is_of_the_newest_round_that_had_shown_the_image(
    saved_at: str, ledger: Ledger
) -> None:
    ledger.record_push(new_push("run-2", round=2), [], dataset(), queue=QUEUE[1:])
    ledger.record_push(new_push("run-3", round=3), [LATER], dataset(), queue=QUEUE[:1])
    ledger.record_push(new_push("by-hand"), [], dataset(), queue=QUEUE)
    ledger.record_reviews(PLACE, read(_drawn(OWN, saved_at=saved_at)))
    assert [work.round for work in ledger.review_work()] == [2]
    assert [(entry.round, entry.outcomes.drawn) for entry in ledger.rounds()] == [
        (1, 0),
        (2, 1),
        (3, 0),
    ]
    assert {entry.round: entry.reviewed_images for entry in ledger.rounds()}[2] == 1


def test_a_round_does_not_own_reviews_from_before_it_began(ledger: Ledger) -> None:
    second = new_push("run-2", round=2)
    second.created_at = datetime(2998, 1, 1, tzinfo=UTC)
    ledger.record_push(second, [], dataset(), queue=[QueueEntry(2)])
    now = ledger.pushes()[0].created_at.isoformat() + "+00:00"
    reviews = [_drawn(OWN, saved_at=now), _drawn(OWN, day=2, saved_at=MUCH_LATER)]
    ledger.record_reviews(PLACE, read(*reviews))
    assert [(work.round, work.audit) for work in ledger.review_work()] == [(1, True), (2, False)]


def test_a_review_that_was_not_shown_a_rounds_boxes_is_of_another_round(ledger: Ledger) -> None:
    ledger.record_push(new_push("run-2", round=2), [LATER], dataset(), queue=QUEUE[:1])
    ledger.record_reviews(PLACE, read(review(kept("a1"), saved_at=MUCH_LATER)))
    assert [work.round for work in ledger.review_work()] == [1]


def test_a_review_of_an_image_that_nothing_is_known_of_is_of_the_newest_round(
    ledger: Ledger,
) -> None:
    ledger.record_push(new_push("run-2", round=2), [LATER], dataset())
    unknown = review(OWN, shown="", tool_id="77", saved_at="")
    ledger.record_reviews(PLACE, read(unknown))
    assert [work.round for work in ledger.review_work()] == [2]


def test_what_went_up_by_hand_is_of_no_round(ledger: Ledger) -> None:
    other = new_push("by-hand", project="99", review_project="98")
    ledger.record_push(other, MINED[2:], dataset())
    ledger.record_reviews(other.place, read(review(kept("b1"), shown="b1", tool_id="12")))
    assert [work.round for work in ledger.review_work()] == [None]
    assert [(entry.round, entry.reviewed_images) for entry in ledger.rounds()] == [
        (1, 0),
        (None, 1),
    ]


def test_saved_drafts_are_work(ledger: Ledger) -> None:
    ledger.record_push(drafts("run-2"), MINED[2:], dataset())
    saved = review(kept("b1"), shown="b1", tool_id="12")
    ledger.record_reviews(drafts().place, read(saved, known="12"))
    (work,) = ledger.review_work()
    assert (work.tool_id, work.shown, work.drawn) == ("12", 1, 0)
