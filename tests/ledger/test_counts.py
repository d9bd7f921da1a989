"""Outcomes, precision and time of the whole ledger and of each round."""

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.ledger import Ledger, OutcomeCounts
from tests.ledger.builders import MINED, SPOT, dataset, kept, new_push, review

PLACE = new_push().place


def test_outcomes_are_counted_by_category(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED, dataset())
    ledger.record_reviews(PLACE, [review(kept("a1", "dog"))])
    counts = ledger.counts()
    assert counts == OutcomeCounts(
        accepted=0,
        edited=1,
        rejected=1,
        pending=1,
        by_category={
            "cat": {"accepted": 0, "edited": 1, "rejected": 0, "pending": 1},
            "dog": {"accepted": 0, "edited": 0, "rejected": 1, "pending": 0},
        },
    )
    assert (counts.total, counts.precision) == (3, 0.5)
    assert {name: c.precision for name, c in counts.categories().items()} == {"cat": 1, "dog": 0}


def test_without_a_judged_box_there_is_no_precision(ledger: Ledger) -> None:
    assert ledger.counts() == OutcomeCounts()
    assert ledger.rounds() == []
    ledger.record_push(new_push(), MINED, dataset())
    assert ledger.counts().precision is None


def test_rounds_are_counted_apart(ledger: Ledger) -> None:
    ledger.record_push(new_push("run-0"), MINED[:1], dataset())
    ledger.record_push(new_push("run-2", round=2), MINED[1:2], dataset())
    ledger.record_push(new_push("run-1", round=1), MINED[2:], dataset())
    ledger.record_reviews(PLACE, [review(kept("b1"), shown="b1", tool_id="12")])
    rounds = ledger.rounds()
    assert [(entry.round, entry.outcomes.total) for entry in rounds] == [(1, 1), (2, 1), (None, 1)]
    assert [entry.precision for entry in rounds] == [1.0, None, None]
    assert [entry.reviewed_images for entry in rounds] == [1, 0, 0]


def test_the_time_of_an_image_counts_once_for_each_reviewer(ledger: Ledger) -> None:
    ledger.record_push(new_push(round=1), MINED, dataset())
    ledger.record_push(
        new_push("run-2", round=2), [MinedBox("c1", 1, 1, SPOT, 0.6, 0.5)], dataset()
    )
    reviews = [
        review(kept("a1"), shown="a1 a2", seconds=4.0),
        review(kept("b1"), shown="b1", tool_id="12", seconds=7.5),
    ]
    ledger.record_reviews(PLACE, reviews)
    first, second = ledger.rounds()
    assert (first.reviewed_images, first.seconds) == (2, 11.5)
    assert (second.reviewed_images, second.seconds) == (0, 0.0)


def test_an_image_whose_boxes_are_all_undecided_took_time(ledger: Ledger) -> None:
    ledger.record_push(new_push(round=1), MINED, dataset())
    undecided = review(kept("b1", unsure=True), shown="b1", tool_id="12", seconds=3.0)
    ledger.record_reviews(PLACE, [undecided])
    (counts,) = ledger.rounds()
    assert (counts.reviewed_images, counts.seconds, counts.precision) == (1, 3.0, None)


def test_reviews_without_a_measured_time_are_reviews(ledger: Ledger) -> None:
    ledger.record_push(new_push(round=1), MINED, dataset())
    ledger.record_reviews(PLACE, [review(reviewer=None, seconds=None)])
    (counts,) = ledger.rounds()
    assert (counts.reviewed_images, counts.seconds) == (1, 0.0)


def test_a_review_of_boxes_of_two_rounds_counts_once(ledger: Ledger) -> None:
    ledger.record_push(new_push(round=1), MINED[:1], dataset())
    ledger.record_push(new_push("run-2", round=2), MINED[:2], dataset())
    both = review(kept("a1"), kept("a2", "dog"), shown="a1 a2", seconds=100.0, review_id="r1")
    ledger.record_reviews(new_push().place, [both])
    first, second = ledger.rounds()
    assert (first.seconds, second.seconds) == (0.0, 100.0)
    assert (first.reviewed_images, second.reviewed_images) == (0, 1)
