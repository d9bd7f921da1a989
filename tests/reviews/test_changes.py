"""Changes of annotations by a verdict: three-way, box by box."""

import time
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsedet.reviews import (
    NOTHING_WRITTEN,
    AnnotationRule,
    Review,
    ReviewedRegion,
    SourceState,
    Verdict,
    Written,
    after,
    as_written,
    changes,
    decide,
    kept_by_source,
    same_box,
)
from tests.reviews.samples import (
    ELSEWHERE,
    HUMAN,
    M1,
    MINED,
    MOVED,
    OWN,
    box,
    by_id,
    review,
    source,
)

MINED_BOXES = by_id(M1)
MOVED_OWN = box("own", MOVED)


def verdict(*reviews: Review) -> Verdict:
    return decide(reviews, MINED_BOXES)


def merged(
    state: SourceState, found: Verdict, written: Written = NOTHING_WRITTEN
) -> tuple[SourceState, Written]:
    """The image after a merge, and what is remembered of it."""
    change = changes(state, found, written)
    assert not change.conflicts
    left = replace(
        state,
        boxes=after(state, change),
        complete=state.complete or change.marks_complete,
    )
    return left, as_written(state, change, found, written)


def test_what_a_review_says_is_brought_in_once() -> None:
    found = verdict(review(1, MOVED_OWN, M1, box("new", ELSEWHERE), complete=True))
    left, written = merged(source(OWN), found)
    assert {id: region.xyxy for id, region in left.boxes.items()} == {
        "own": MOVED,
        "m1": MINED,
        "new": ELSEWHERE,
    }
    assert left.complete
    assert not changes(left, found, written)
    assert not changes(left, found)  # the same without the memory of it


def test_deleted_boxes_go_and_rejected_ones_never_come() -> None:
    assert merged(source(OWN), verdict(review(1)))[0].boxes == {}


def test_changes_of_one_side_stand() -> None:
    """Somebody drew a box in the source; the reviewers did not see it."""
    theirs = box("theirs", ELSEWHERE)
    left, _ = merged(source(OWN, theirs), verdict(review(1, MOVED_OWN, M1)))
    assert left.boxes.keys() == {"own", "theirs", "m1"}
    # Somebody moved a box that the reviewer left as it was shown.
    left, _ = merged(source(MOVED_OWN), verdict(review(1, OWN, M1)))
    assert left.boxes["own"].xyxy == MOVED


@pytest.mark.parametrize(
    ("there", "left"),
    [
        ((box("own", ELSEWHERE),), (MOVED_OWN, M1)),  # moved here, moved elsewhere there
        ((box("own", ELSEWHERE),), (M1,)),  # deleted here
        ((), (MOVED_OWN, M1)),  # deleted there
        ((replace(OWN, category="dog"),), (MOVED_OWN, M1)),
    ],
)
def test_a_box_that_both_sides_changed_differently_is_a_conflict(
    there: tuple[ReviewedRegion, ...], left: tuple[ReviewedRegion, ...]
) -> None:
    found = verdict(review(1, *left))
    change = changes(source(*there), found)
    assert list(change.conflicts) == ["own"]
    assert not change
    taken = changes(source(*there), found, take_review=True)
    assert after(source(*there), taken) == {
        one.region_id: replace(one, region_id=one.region_id) for one in left
    }
    # When the source wins, the rest of the review is brought in.
    written = kept_by_source(change.conflicts, found, NOTHING_WRITTEN)
    kept, _ = merged(source(*there), found, written)
    assert kept.boxes == by_id(*there, M1)


def test_both_sides_making_the_same_change_is_none() -> None:
    assert not changes(source(MOVED_OWN), verdict(review(1, MOVED_OWN))).conflicts
    assert not changes(source(), verdict(review(1))).conflicts


def test_the_source_has_the_last_word_after_a_merge() -> None:
    found = verdict(review(1, MOVED_OWN, M1, complete=True))
    left, written = merged(source(OWN), found)
    moved_again = replace(left, boxes=by_id(box("own", ELSEWHERE), M1), complete=False)
    assert not changes(moved_again, found, written)
    # Also after another merge, which finds nothing to do.
    _, written = merged(moved_again, found, written)
    assert not changes(moved_again, found, written)
    without = replace(left, boxes=by_id(MOVED_OWN))
    assert not changes(without, found, written)
    deleted = verdict(review(1))
    left, written = merged(source(OWN), deleted)
    assert not changes(source(OWN), deleted, written)  # somebody drew it again


def test_a_review_that_changes_after_its_merge_is_merged_again() -> None:
    left, written = merged(source(OWN), verdict(review(1, OWN, box("m1", ELSEWHERE))))
    second = verdict(review(1, OWN, M1))
    left, written = merged(left, second, written)
    assert left.boxes["m1"].xyxy == MINED
    rejected, written = merged(left, verdict(review(1, OWN)), written)
    assert rejected.boxes.keys() == {"own"}
    again, written = merged(rejected, second, written)
    assert again.boxes.keys() == {"own", "m1"}
    undecided = verdict(review(1, OWN, replace(M1, unsure=True)))
    assert merged(again, undecided, written)[0].boxes.keys() == {"own"}


def test_two_overlapping_boxes_of_one_reviewer_are_two_objects() -> None:
    near = box("m2", (52, 50, 82, 80))
    mined = by_id(M1, near)
    found = decide([review(1, OWN, M1, near, shown=(OWN, M1, near))], mined)
    assert merged(source(OWN), found)[0].boxes.keys() == {"own", "m1", "m2"}


def test_one_object_that_two_people_drew_unaware_of_each_other_is_one() -> None:
    here, there = box("a", ELSEWHERE), box("b", (61, 10, 91, 30))
    both = verdict(review(1, OWN, M1, here), review(2, OWN, M1, there))
    assert merged(source(OWN), both)[0].boxes.keys() == {"own", "m1", "a"}
    # So it stays when the merge was cut off before anybody could remember it.
    assert not changes(source(OWN, M1, here), both)
    # Aware of it, the second reviewer drew another object.
    aware = verdict(
        review(1, OWN, M1, here), review(2, OWN, M1, here, there, shown=(OWN, M1, here))
    )
    assert merged(source(OWN), aware)[0].boxes.keys() == {"own", "m1", "a", "b"}
    # The source has it already.
    assert merged(source(OWN, there), verdict(review(1, OWN, here)))[0].boxes.keys() == {"own", "b"}


def test_boxes_are_found_by_place_when_another_tool_renumbered_them() -> None:
    found = verdict(review(1, MOVED_OWN, M1))
    left, _ = merged(source(box("7", HUMAN)), found)
    assert {id: region.xyxy for id, region in left.boxes.items()} == {"7": MOVED, "m1": MINED}
    renumbered = source(box("1", MOVED), box("2", MINED))
    assert not changes(renumbered, found)


def test_a_box_drawn_in_a_review_and_shown_to_the_next_was_never_in_the_source() -> None:
    new = box("new", ELSEWHERE)
    moved = box("new", (62, 14, 92, 34))
    found = verdict(review(1, OWN, M1, new), review(2, OWN, M1, moved, shown=(OWN, M1, new)))
    assert merged(source(OWN), found)[0].boxes["new"].xyxy == moved.xyxy


def test_a_person_s_box_in_the_place_of_a_rejected_one_stays() -> None:
    """The source never held the mined box: nobody deleted what is there now."""
    theirs = box("theirs", MINED)
    assert merged(source(OWN, theirs), verdict(review(1, OWN)))[0].boxes.keys() == {"own", "theirs"}


def test_a_conflict_stays_when_a_later_reviewer_leaves_the_box_as_shown() -> None:
    """What the later one was shown was not known to the one who moved the box."""
    there = box("own", ELSEWHERE)
    first = review(1, MOVED_OWN, M1)
    later = review(2, there, M1, shown=(there, M1))
    assert list(changes(source(there), verdict(first)).conflicts) == ["own"]
    assert list(changes(source(there), verdict(first, later)).conflicts) == ["own"]
    decided = review(2, box("own", HUMAN), M1, shown=(there, M1))
    assert not changes(source(there), verdict(first, decided)).conflicts


def test_what_was_written_to_one_annotation_is_not_missing_in_another() -> None:
    found = verdict(review(1, OWN, M1))
    state = source(OWN, version="7@noon")
    change = changes(state, found)
    written = as_written(state, change, found, version="7@later")
    same = source(OWN, version="7@night")
    other = source(OWN, version="8@night")
    assert not changes(same, found, written)  # somebody deleted it there
    assert changes(other, found, written).added.keys() == {"m1"}
    # Files have one set of boxes, whose version is no name.
    assert not changes(source(OWN, version="abc"), found, replace(written, holder=""))


def test_of_equal_boxes_one_stays_when_one_was_deleted_on_each_side() -> None:
    twins = box("t1"), box("t2")
    found = verdict(review(1, twins[1], M1, shown=(*twins, M1)))
    assert merged(source(*twins), found)[0].boxes.keys() == {"t2", "m1"}
    for survivor in (*twins, box("renumbered")):
        left, _ = merged(source(survivor), found)
        assert sorted(left.boxes) == sorted([survivor.region_id, "m1"])


def test_a_box_in_the_source_stands_for_one_accepted_box_only() -> None:
    near = box("m2", (54, 50, 84, 80))
    found = decide([review(1, OWN, M1, near, shown=(OWN, M1, near))], by_id(M1, near))
    theirs = box("theirs", (55, 50, 85, 80))
    left, written = merged(source(OWN, theirs), found)
    assert left.boxes.keys() == {"own", "theirs", "m1"}
    assert not changes(left, found, written)


def test_a_merge_in_between_makes_no_difference() -> None:
    near = box("m2", (54, 50, 84, 80))
    mined = by_id(M1, near)
    first = review(1, OWN, M1, offer="1")
    second = review(2, OWN, near, shown=(OWN, near), offer="2")
    at_once, _ = merged(source(OWN), decide([first, second], mined))
    between, written = merged(source(OWN), decide([first], mined))
    between, _ = merged(between, decide([first, second], mined), written)
    assert between.boxes == at_once.boxes


def test_boxes_of_labels_that_the_project_lacks_are_left_out() -> None:
    dog = box("new", ELSEWHERE, "dog")
    state = source(OWN, labels=frozenset({"cat"}))
    found = verdict(review(1, replace(OWN, category="dog"), M1, dog))
    change = changes(state, found)
    assert change.unknown == {"own": "dog", "new": "dog"}
    left, written = merged(state, found)
    assert left.boxes == by_id(OWN, M1)
    # They are not forgotten: once the label is back, they come.
    again = changes(replace(left, labels=None), found, written)
    assert after(left, again) == by_id(replace(OWN, category="dog"), M1, dog)


def test_a_mark_that_could_not_be_written_is_not_taken_for_written() -> None:
    found = verdict(review(1, OWN, M1, complete=True))
    change = replace(changes(source(OWN), found), marks_complete=False)
    assert not as_written(source(OWN), change, found).complete
    assert as_written(source(OWN), changes(source(OWN), found), found).complete


PLACES = st.sampled_from([HUMAN, MOVED, MINED, ELSEWHERE])
REGIONS = st.builds(
    box,
    st.sampled_from(["own", "h2", "m1", "new"]),
    PLACES,
    st.sampled_from(["cat", "dog"]),
    unsure=st.booleans(),
)
LISTS = st.lists(REGIONS, unique_by=lambda region: region.region_id, max_size=4).map(tuple)
REVIEWS = st.lists(
    st.builds(
        lambda number, left, shown, side: review(
            number, *left, shown=shown, offer="side" if side else ""
        ),
        st.integers(1, 28),
        LISTS,
        LISTS,
        st.booleans(),
    ),
    max_size=4,
)
STATES = LISTS.map(lambda boxes: source(*(replace(one, unsure=False) for one in boxes)))


@given(REVIEWS, STATES, st.sampled_from(get_args(AnnotationRule)))
def test_a_merge_is_complete_and_final(
    reviews: list[Review], state: SourceState, rule: AnnotationRule
) -> None:
    """Whatever was said: merging twice is merging once, and conflicts can be resolved for good."""
    found = decide(reviews, MINED_BOXES, rule)
    change = changes(state, found)
    written = NOTHING_WRITTEN
    if change.conflicts:
        assert not change
        written = kept_by_source(change.conflicts, found, written)
        change = changes(state, found, written)
    assert not change.conflicts
    left = replace(state, boxes=after(state, change), complete=change.marks_complete)
    written = as_written(state, change, found, written)
    assert not changes(left, found, written)
    assert not changes(left, found, written).conflicts
    taken = changes(state, found, take_review=True)
    assert not taken.conflicts
    forced = after(state, taken)
    for id, decision in found.decisions.items():
        if decision.fate == "deleted":
            assert id not in forced or any(
                same_box(forced[id], twin) for twin in state.boxes.values()
            )
        elif decision.fate == "kept" and id in forced:
            assert same_box(forced[id], decision.region)


def test_a_thousand_boxes_on_an_image_are_compared_in_a_moment() -> None:
    boxes = [
        box(str(n), (20 * row, 20 * column, 20 * row + 15, 20 * column + 15))
        for n, (row, column) in enumerate(divmod(n, 40) for n in range(2000))
    ]
    own, mined = boxes[1000:], boxes[:1000]
    found = decide([review(1, *boxes, shown=tuple(boxes))], by_id(*mined))
    changes(source(*own), found)  # imports numpy
    start = time.process_time()
    assert changes(source(*own), found).added.keys() == by_id(*mined).keys()
    assert time.process_time() - start < 0.8
