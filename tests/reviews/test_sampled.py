"""Decisions of a lot's sample count where no person decided."""

from dataclasses import replace

import pytest

from sparsedet.reviews import Review, SourceState, as_written, changes, decide
from tests.reviews.samples import ELSEWHERE, M1, OWN, box, by_id, review

MINED_BOXES = by_id(M1)


def lot(*, unsure: bool = False) -> Review:
    """The word of a lot on the mined box, as of day 3."""
    left = replace(M1, unsure=unsure)
    return replace(review(3, left), shown=by_id(M1), review_id="lot", offer="lot", sampled=True)


def fate(*reviews: Review) -> tuple[str, str]:
    decision = decide(reviews, MINED_BOXES).decisions["m1"]
    return decision.fate, decision.origin


def test_by_itself_it_accepts() -> None:
    assert fate(lot()) == ("kept", "sampled")


@pytest.mark.parametrize("day", [1, 5])
def test_a_person_overrules_it_before_and_after(day: int) -> None:
    assert fate(lot(), review(day, OWN))[0] == "deleted"
    assert fate(lot(), review(day, OWN, box("m1", ELSEWHERE))) == ("kept", "edited")
    assert fate(lot(), review(day, OWN, replace(M1, unsure=True)))[0] == "undecided"


def test_who_left_it_before_accepted_it_and_who_leaves_it_later_says_no_more() -> None:
    assert fate(lot(), review(1, OWN, M1)) == ("kept", "accepted")
    assert fate(lot(), review(5, OWN, M1)) == ("kept", "sampled")


def test_it_takes_no_mark_of_complete_images_back() -> None:
    person = replace(review(1, OWN), shown=by_id(OWN), complete=True)
    assert decide([person, lot()], MINED_BOXES).complete
    assert not decide([lot()], MINED_BOXES).complete


@pytest.mark.parametrize("day", [1, 5])
def test_a_box_that_a_person_drew_on_the_object_stands_instead(day: int) -> None:
    drawn = box("drawn", (51, 50, 81, 80))
    person = replace(review(day, OWN, drawn), shown=by_id(OWN))
    source = SourceState("1", by_id(OWN))
    change = changes(source, decide([person, lot()], MINED_BOXES))
    assert set(change.added) == {"drawn"}


def test_taken_back_it_leaves_the_source_unless_somebody_changed_it_there() -> None:
    source = SourceState("1", by_id(OWN))
    accepted = decide([lot()], MINED_BOXES)
    written = as_written(source, changes(source, accepted), accepted)
    undone = decide([lot(unsure=True)], MINED_BOXES)
    merged = SourceState("1", by_id(OWN, M1))
    assert changes(merged, undone, written).removed == {"m1"}
    moved = SourceState("1", by_id(OWN, box("m1", ELSEWHERE)))
    assert list(changes(moved, undone, written).conflicts) == ["m1"]
    # Before a merge there is nothing to take out.
    assert not changes(source, undone)
