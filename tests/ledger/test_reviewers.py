"""Comparison of reviewers."""

from dataclasses import replace

import pytest

from sparsedet.ledger import Ledger, ReviewerCounts
from tests.ledger.builders import (
    MINED,
    dataset,
    drafts,
    kept,
    mined_region,
    new_push,
    read,
    review,
)

PLACE = new_push().place
MOVED = (10.0, 10.0, 70.0, 50.0)


@pytest.fixture(autouse=True)
def pushed(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED, dataset())


def _by_name(ledger: Ledger) -> dict[str, ReviewerCounts]:
    return {counts.name: counts for counts in ledger.reviewers()}


def test_each_has_the_own_reviews(ledger: Ledger) -> None:
    found = read(
        review(kept("a1", xyxy=MOVED), reviewer="ann", seconds=5.0),
        review(kept("b1"), shown="b1", tool_id="12", reviewer="bob", seconds=None),
    )
    ledger.record_reviews(PLACE, found)
    assert ledger.reviewers() == [
        ReviewerCounts("ann", images=1, seconds=5.0, edited=1, rejected=1),
        ReviewerCounts("bob", images=1, accepted=1),
    ]
    ann = ledger.reviewers()[0]
    assert (ann.judged, ann.share("edited"), ann.share("accepted")) == (2, 0.5, 0.0)


def test_nameless_skipped_and_undecided_reviews_say_nothing(ledger: Ledger) -> None:
    found = read(
        review(reviewer=None),
        review(reviewer="ann", skipped=True, shown="", day=2),
        review(kept("b1", unsure=True), shown="b1", tool_id="12", reviewer="bob"),
    )
    ledger.record_reviews(PLACE, found)
    (bob,) = ledger.reviewers()
    assert bob == ReviewerCounts("bob", images=1, seconds=4.0)
    assert bob.share("accepted") is None


def test_side_by_side_reviewers_agree_or_not(ledger: Ledger) -> None:
    # They agree that a1 shows something, one only moved it; and not about a2.
    found = read(
        review(kept("a1"), kept("a2", "dog"), offer="t1", reviewer="ann"),
        review(kept("a1", xyxy=MOVED), offer="t1", reviewer="bob", day=2),
        review(kept("b1"), shown="b1", tool_id="12", reviewer="ann"),
    )
    ledger.record_reviews(PLACE, found)
    people = _by_name(ledger)
    assert (people["ann"].agreement, people["ann"].compared) == (0.5, 2)
    assert (people["bob"].agreement, people["bob"].compared) == (0.5, 2)
    assert (people["bob"].edited, people["bob"].rejected) == (1, 1)


def test_of_three_the_odd_one_out_is_seen(ledger: Ledger) -> None:
    found = read(
        review(kept("a1"), shown="a1", offer="t1", reviewer="ann"),
        review(kept("a1"), shown="a1", offer="t1", reviewer="bob", day=2),
        review(shown="a1", offer="t1", reviewer="cleo", day=3),
    )
    ledger.record_reviews(PLACE, found)
    assert {name: counts.agreement for name, counts in _by_name(ledger).items()} == {
        "ann": 0.5,
        "bob": 0.5,
        "cleo": 0.0,
    }


def test_a_later_push_has_a_box_judged_again(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(review(kept("a1", xyxy=MOVED), reviewer="ann")))
    later = drafts("run-2")
    ledger.record_push(later, MINED, dataset())
    offered = {"a1": kept("a1", xyxy=MOVED), "a2": mined_region("a2")}
    again = replace(review(offered["a1"], reviewer="bob", day=2), shown=offered)
    ledger.record_reviews(later.place, read(again))
    people = _by_name(ledger)
    # Bob left what ann had edited.
    assert (people["bob"].accepted, people["bob"].edited, people["bob"].rejected) == (1, 0, 1)
    assert (people["ann"].agreement, people["ann"].compared) == (1.0, 2)


def test_the_last_word_of_a_person_counts(ledger: Ledger) -> None:
    found = read(
        review(kept("a1"), shown="a1", reviewer="ann"),
        review(shown="a1", reviewer="ann", day=2),
    )
    ledger.record_reviews(PLACE, found)
    (ann,) = ledger.reviewers()
    assert (ann.images, ann.seconds, ann.accepted, ann.rejected) == (1, 8.0, 0, 1)
    assert ann.agreement is None
