"""Combining several reviews of an image."""

from dataclasses import replace

import pytest

from sparsedet.reviews import (
    AnnotationRule,
    Review,
    ReviewedRegion,
    choose,
    combine,
    decide,
    effective,
)
from tests.reviews.samples import ELSEWHERE, M1, MINED, MOVED, OWN, box, by_id, review

MINED_BOXES = by_id(M1)
MOVED_OWN = box("own", MOVED)
EDITED = box("m1", (55, 50, 85, 80))


def said(*reviews: Review, rule: AnnotationRule = "ground-truth-first") -> dict[str, object]:
    """Region id -> fate, origin and place."""
    verdict = decide(reviews, MINED_BOXES, rule)
    return {
        id: (d.fate, d.origin, d.region.xyxy) if d.fate == "kept" else d.fate
        for id, d in verdict.decisions.items()
    }


def test_one_review() -> None:
    drawn = box("new", ELSEWHERE)
    assert said(review(1, OWN, M1, drawn)) == {
        "m1": ("kept", "accepted", MINED),
        "new": ("kept", "human", ELSEWHERE),
    }
    assert said(review(1, MOVED_OWN, EDITED)) == {
        "own": ("kept", "human", MOVED),
        "m1": ("kept", "edited", EDITED.xyxy),
    }
    assert said(review(1)) == {"own": "deleted", "m1": "deleted"}
    renamed = replace(M1, category="dog")
    assert said(review(1, OWN, renamed)) == {"m1": ("kept", "edited", MINED)}


def test_a_pixel_is_no_move() -> None:
    nudged = [box("own", (11, 10, 30, 30)), box("m1", (50, 50, 79, 80))]
    assert said(review(1, *nudged)) == {"m1": ("kept", "accepted", (50, 50, 79, 80))}


@pytest.mark.parametrize("first", [1, 3])
def test_what_one_left_as_shown_is_no_word_against_the_other(first: int) -> None:
    """Reviewer A moves or deletes a human box, B leaves it as it was shown, before or after A."""
    left = review(2, OWN, M1)
    assert said(review(first, MOVED_OWN, M1), left)["own"] == ("kept", "human", MOVED)
    assert said(review(first, M1), left)["own"] == "deleted"
    assert said(review(first, OWN, EDITED), left)["m1"] == ("kept", "edited", EDITED.xyxy)


def test_the_last_word_on_a_mined_box_counts() -> None:
    kept, deleted = (OWN, M1), (OWN,)
    assert said(review(1, *kept), review(2, *deleted))["m1"] == "deleted"
    assert said(review(1, *deleted), review(2, *kept))["m1"] == ("kept", "accepted", MINED)
    unsure = replace(M1, unsure=True)
    assert said(review(1, *kept), review(2, OWN, unsure))["m1"] == "undecided"
    assert said(review(1, OWN, unsure), review(2, *kept))["m1"] == ("kept", "accepted", MINED)


def test_an_unsure_box_of_a_person_stays() -> None:
    assert said(review(1, replace(OWN, unsure=True), M1)) == {"m1": ("kept", "accepted", MINED)}
    assert "new" not in said(review(1, OWN, M1, box("new", ELSEWHERE, unsure=True)))


def test_what_nobody_was_shown_is_not_judged() -> None:
    assert said(review(1, OWN, shown=(OWN,))) == {}


def test_credit_stays_with_who_made_it_so() -> None:
    first, second = review(1, OWN), review(2, OWN)
    decision = decide([second, first], MINED_BOXES).decisions["m1"]
    assert decision.review is first
    accepted = decide([review(1, OWN, M1), review(2, OWN, M1)], MINED_BOXES).decisions["m1"]
    assert accepted.review.review_id == "r1"


def test_only_the_last_reviewer_says_that_an_image_is_complete() -> None:
    marked, unmarked = review(1, OWN, M1, complete=True), review(2, OWN, M1)
    assert not decide([marked, unmarked], MINED_BOXES).complete
    assert decide([marked], MINED_BOXES).complete
    assert not decide([], MINED_BOXES).complete


def test_a_skipped_review_says_nothing() -> None:
    skipped = review(2, shown=(), skipped=True)
    assert said(review(1, OWN), skipped) == {"m1": "deleted"}
    assert effective([skipped], "union") == []


BOTH, EMPTY = (OWN, M1), ()


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("ground-truth-first", "kept"),  # the newest that holds boxes
        ("newest", "deleted"),
        ("union", "kept"),
        ("majority", "deleted"),
    ],
)
def test_of_reviews_made_side_by_side_the_rule_makes_one(
    rule: AnnotationRule, expected: str
) -> None:
    """A second annotator's empty one is the newest."""
    side = [review(1, *BOTH, offer="t"), review(2, *EMPTY, offer="t")]
    fate = decide(side, MINED_BOXES, rule).decisions["m1"].fate
    assert fate == expected
    starred = [replace(side[0], ground_truth=True), side[1]]
    starred_fate = decide(starred, MINED_BOXES, rule).decisions["m1"].fate
    assert starred_fate == ("deleted" if rule == "newest" else "kept")


@pytest.mark.parametrize(
    ("rule", "taken"),
    [("ground-truth-first", "b"), ("newest", "c"), ("union", "abc"), ("majority", "abc")],
)
def test_which_annotations_count(rule: AnnotationRule, taken: str) -> None:
    found = choose([("a", False, True), ("b", False, True), ("c", False, False)], rule)
    assert "".join(found) == taken
    starred = choose([("a", True, True), ("b", False, True), ("c", False, True)], rule)
    assert "".join(starred) == ("c" if rule == "newest" else "a")
    assert choose([("a", False, False)], rule) == ["a"]
    assert choose([], rule) == []


def test_union_and_majority_know_one_object_by_id_or_place() -> None:
    def near(box: ReviewedRegion, id: str, by: float) -> ReviewedRegion:
        left, top, right, bottom = box.xyxy
        return replace(box, region_id=id, xyxy=(left + by, top, right + by, bottom))

    people = [
        [OWN, box("a", ELSEWHERE)],
        [near(OWN, "own2", 2)],
        [near(M1, "m1", 0), near(OWN, "own3", 3)],
    ]
    assert [r.region_id for r in combine(people, "union")] == ["own3", "a", "m1"]
    assert [r.region_id for r in combine(people, "majority")] == ["own3"]
    # Two boxes of one person are two objects, however near.
    assert len(combine([[OWN, near(OWN, "twin", 1)]], "union")) == 2


def test_a_box_listed_before_takes_no_object_of_another_box_s_id() -> None:
    near = replace(OWN, region_id="c", xyxy=(12, 10, 32, 30))
    both = combine([[OWN], [near, OWN]], "majority", by_id(OWN))
    assert [region.region_id for region in both] == ["own"]


def test_ids_are_the_same_by_accident_where_nothing_was_shown() -> None:
    people = [[box("1")], [box("1", ELSEWHERE)]]
    assert [region.xyxy for region in combine(people, "union")] == [OWN.xyxy, ELSEWHERE]


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        ([MOVED_OWN, MOVED_OWN, OWN], MOVED_OWN),
        ([OWN, MOVED_OWN], MOVED_OWN),  # the only change
        ([MOVED_OWN, OWN, OWN], OWN),
        ([OWN, OWN, replace(OWN, unsure=True)], OWN),
    ],
)
def test_what_most_people_left_of_a_box_stands(
    left: list[ReviewedRegion], expected: ReviewedRegion
) -> None:
    assert combine([[one] for one in left], "union", by_id(OWN)) == (expected,)
