"""Marks of single classes in reviews: what all of them say together, and what a merge writes."""

from dataclasses import replace

import pytest

from sparsedet.reviews import NOTHING_WRITTEN, Review, Written, as_written, changes, decide
from tests.reviews.samples import ELSEWHERE, M1, OWN, box, by_id, review, source

CAT, DOG = frozenset({"cat"}), frozenset({"dog"})
MINED = by_id(M1)
DRAWN = box("new", ELSEWHERE)


def classes(*reviews: Review, rule: str = "newest") -> set[str]:
    return set(decide(reviews, MINED, rule).complete_classes)  # type: ignore[arg-type]


def test_a_mark_stays_when_later_reviewers_do_not_repeat_it() -> None:
    first = review(1, OWN, M1, complete_classes=CAT)
    assert classes(first) == {"cat"}
    assert classes(first, review(2, OWN, M1)) == {"cat"}
    assert classes(first, review(2, OWN, M1, complete_classes=DOG)) == {"cat", "dog"}
    # What a later reviewer deletes was not missing.
    assert classes(first, review(2, M1)) == {"cat"}
    assert classes(review(1, skipped=True, complete_classes=CAT)) == set()


@pytest.mark.parametrize(
    ("later", "left"),
    [
        (review(2, OWN, M1, DRAWN), {"dog"}),
        (review(2, OWN, M1, DRAWN, complete_classes=CAT), {"cat", "dog"}),
        (review(2, OWN, M1, box("new", ELSEWHERE, unsure=True)), {"cat", "dog"}),
        (review(2, replace(OWN, category="dog"), M1), {"cat"}),  # a dog more
        (review(2, OWN, DRAWN, partial=True), {"dog"}),  # on a contact sheet
        (review(2, OWN, DRAWN, sampled=True), {"cat", "dog"}),  # which nobody saw
    ],
)
def test_a_further_object_of_the_class_ends_it(later: Review, left: set[str]) -> None:
    assert classes(review(1, OWN, M1, complete_classes=CAT | DOG), later) == left


def test_a_mined_box_that_is_accepted_later_ends_it() -> None:
    first = review(1, OWN, shown=(OWN,), complete_classes=CAT)
    assert classes(first, review(2, OWN, M1)) == set()
    # Accepted before, it is shown to everybody.
    assert classes(review(1, OWN, M1, complete_classes=CAT), review(2, OWN, M1)) == {"cat"}


def test_reviews_side_by_side_have_to_agree() -> None:
    one = review(1, OWN, offer="o", complete_classes=CAT | DOG)
    assert classes(one, review(2, OWN, offer="o", complete_classes=DOG), rule="union") == {"dog"}
    assert classes(one, review(2, OWN, offer="o"), rule="union") == set()
    # Who marks the image marks all of its classes.
    assert classes(one, review(2, OWN, offer="o", complete=True), rule="union") == {"cat", "dog"}


def test_a_merge_adds_the_marks_that_the_source_lacks() -> None:
    verdict = decide([review(1, OWN, complete_classes=CAT | DOG)], {})
    assert changes(source(OWN), verdict).completed_classes == {"cat", "dog"}
    assert changes(source(OWN), verdict)  # marks alone are a change
    known = source(OWN, complete_classes=CAT)
    assert changes(known, verdict).completed_classes == {"dog"}
    assert changes(source(OWN, labels=CAT), verdict).completed_classes == {"cat"}
    assert not changes(source(OWN, complete=True), verdict)
    both = decide([review(1, OWN, complete=True, complete_classes=CAT)], {})
    assert changes(source(OWN), both).completed_classes == set()


def test_what_was_written_once_is_history() -> None:
    verdict = decide([review(1, OWN, complete_classes=CAT)], {})
    written = as_written(source(OWN), changes(source(OWN), verdict), verdict)
    assert written.complete_classes == {"cat"}
    # Somebody has taken the mark away since.
    assert not changes(source(OWN), verdict, written)
    # Another annotation counts now, which never had it.
    other = source(OWN, version="9@now")
    assert changes(other, verdict, replace(written, holder="8")).completed_classes == {"cat"}
    assert Written(complete_classes=CAT) != NOTHING_WRITTEN
