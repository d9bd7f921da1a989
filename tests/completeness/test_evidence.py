"""Reviews' evidence on candidates; hidden annotations; the file of candidates."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparsedet.annotations import Box, Category, Dataset
from sparsedet.completeness.candidate_file import (
    CandidateFile,
    read_candidates,
    write_candidates,
)
from sparsedet.completeness.evidence import Found, read_evidence
from sparsedet.completeness.expected_precision import BEFORE_REVIEWS, EarlierRounds
from sparsedet.completeness.hiding import FEWEST_HIDDEN, MOST_HIDDEN, hide
from sparsedet.completeness.proposals import hidden_from
from sparsedet.completeness.ratio import Ratio
from sparsedet.completeness.selection import limit_for
from sparsedet.errors import SparseDetError
from tests.completeness.scenes import candidates, scene

TWO = candidates([(1, 0.9, 0), (1, 0.4, 0), (2, 0.8, 0)])
BEFORE = scene(images=2, labelled=0.0).dataset


def with_box(*rows: int) -> tuple[Box, ...]:
    """Return boxes on some of the candidates."""
    boxes = []
    for number, row in enumerate(rows, start=1):
        a, b, c, d = TWO.boxes[row].tolist()
        boxes.append(Box(number, int(TWO.image_ids[row]), 1, (a, b, c, d)))
    return tuple(boxes)


def test_on_a_complete_image_every_candidate_is_right_or_wrong() -> None:
    images = tuple(replace(image, exhaustive=image.id == 1) for image in BEFORE.images)
    drawn = Box(9, 1, 1, (500, 500, 600, 600))
    now = replace(BEFORE, images=images, boxes=(*with_box(0), drawn))
    found = read_evidence(BEFORE, now, TWO, {}, audit={1})
    assert found.judged.right.tolist() == [True, False]
    assert found.found == (Found(1, objects=2, among_candidates=1, audit=True, not_shown=2),)
    assert found.open.tolist() == [False, False, True]


def test_objects_of_shown_boxes_are_told_from_those_that_people_drew() -> None:
    images = tuple(replace(image, exhaustive=image.id == 1) for image in BEFORE.images)
    now = replace(BEFORE, images=images, boxes=with_box(0, 1))
    found = read_evidence(BEFORE, now, TWO, {0: True}, audit=())
    assert found.found == (Found(1, objects=2, among_candidates=2, audit=False, not_shown=1),)


@pytest.mark.parametrize("category_id", [1, 2])
def test_boxes_that_reviewers_corrected_are_no_objects_found(category_id: int) -> None:
    wide, narrow = Box(7, 1, 1, (300, 300, 360, 360)), Box(8, 1, 1, (340, 300, 380, 360))
    before = replace(BEFORE, boxes=(wide, narrow))
    images = tuple(replace(image, exhaustive=image.id == 1) for image in BEFORE.images)
    moved = replace(wide, xyxy=(305, 303, 366, 362), category_id=category_id)
    redrawn = replace(narrow, id=11, xyxy=(338, 300, 380, 360))
    now = replace(before, images=images, boxes=(*with_box(0), redrawn, moved))
    found = read_evidence(before, now, TWO, {0: True}, audit={1})
    assert found.found == (Found(1, objects=1, among_candidates=1, audit=True, not_shown=0),)
    incomplete = read_evidence(before, replace(now, images=before.images), TWO, {}, audit=())
    assert incomplete.drawn == {1: 0, 2: 0}


def test_a_box_in_place_of_a_wrong_one_leaves_its_candidate_no_object() -> None:
    (accepted,) = with_box(0)
    a, b, c, d = accepted.xyxy
    before = replace(BEFORE, boxes=(Box(7, 1, 1, (a, b, c + 3, d)),))
    found = read_evidence(before, replace(BEFORE, boxes=(accepted,)), TWO, {0: True}, audit=())
    assert found.open.tolist() == [False, True, True]
    assert found.judged.right.tolist() == [True]
    assert found.drawn == {1: 0, 2: 0}


def test_elsewhere_only_what_reviewers_judged_is_known() -> None:
    now = replace(BEFORE, boxes=with_box(0))
    found = read_evidence(BEFORE, now, TWO, {0: True, 1: False, 2: None}, audit=())
    assert found.judged.right.tolist() == [True, False, False]
    assert not found.open.any()
    assert found.found == ()


def test_a_mark_where_boxes_were_only_judged_says_nothing_of_other_candidates() -> None:
    images = tuple(replace(image, exhaustive=image.id == 1) for image in BEFORE.images)
    now = replace(BEFORE, images=images, boxes=with_box(0))
    found = read_evidence(BEFORE, now, TWO, {0: True}, audit=(), judge_only={1})
    assert found.judged.candidates.scores.tolist() == [0.9]
    assert found.judged.right.tolist() == [True]
    assert found.found == ()


def test_a_candidate_that_got_another_class_shows_an_object() -> None:
    (box,) = with_box(0)
    now = replace(BEFORE, boxes=(replace(box, category_id=2),))
    found = read_evidence(BEFORE, now, TWO, {0: False, 1: False}, audit=())
    assert found.judged.right.tolist() == [False, False]
    assert found.judged.on_object.tolist() == [True, False]


def test_undecided_boxes_were_not_accepted() -> None:
    images = tuple(replace(image, exhaustive=True) for image in BEFORE.images)
    now = replace(BEFORE, images=images, boxes=with_box(0))
    found = read_evidence(BEFORE, now, TWO, {1: None}, audit=())
    assert found.judged.right.tolist() == [True, False, False]
    assert found.judged.on_object.tolist() == [True, False, False]


def test_a_share_of_the_annotations_is_hidden_the_same_for_a_seed() -> None:
    full = scene(images=100).dataset
    seen = hide(full, 0.1, seed=1)
    gone = hidden_from(full, seen)
    assert len(gone) == round(0.1 * len(full.boxes))
    assert hidden_from(full, hide(full, 0.1, seed=1)) == gone
    assert hidden_from(full, hide(full, 0.1, seed=2)) != gone
    assert hidden_from(full, full) == frozenset()


def test_what_is_hidden_does_not_depend_on_how_a_server_names_files() -> None:
    full = scene(images=100).dataset
    images = tuple(replace(i, file_name=f"{hash(i.id)}-{i.file_name}") for i in full.images)
    renamed = replace(full, images=images)
    assert hidden_from(renamed, hide(renamed, 0.1, seed=1)) == hidden_from(
        full, hide(full, 0.1, seed=1)
    )


def test_none_is_hidden_on_complete_images_or_where_too_few_would_be() -> None:
    full = scene(images=100).dataset
    complete = replace(full, images=tuple(replace(i, exhaustive=i.id > 50) for i in full.images))
    gone = hidden_from(complete, hide(complete, 0.2, seed=1))
    image_of = {box.id: box.image_id for box in full.boxes}
    assert gone
    assert all(image_of[id] <= 50 for id in gone)
    few = full.with_images(full.images[:10])
    assert round(0.1 * len(few.boxes)) < FEWEST_HIDDEN
    assert hide(few, 0.1, seed=1) == few
    many = scene(images=3000).dataset
    assert len(hidden_from(many, hide(many, 0.2, seed=1))) == MOST_HIDDEN


def test_a_limit_keeps_the_promise_of_all_boxes_above_it() -> None:
    chances = np.array([0.5, 0.99, 0.9, 0.1, 0.7])
    assert limit_for(chances, 0.9) == 0.9
    assert limit_for(chances, 0.85) == 0.7
    assert limit_for(chances, 0.0) == 0.1
    assert limit_for(chances, 0.999) > 1
    # All of equal chance are shown, or none.
    many = np.array([0.99] * 10 + [0.85] * 1000)
    assert limit_for(many, 0.9) == 0.99
    assert limit_for(np.full(1000, 0.9), 0.9) == 0.9


def test_candidates_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "candidates.json"
    content = CandidateFile(
        "run", TWO, 3, EarlierRounds(BEFORE_REVIEWS), Ratio(3.0, 2.5), audited=4
    )
    write_candidates(content, path)
    read = read_candidates(path)
    assert (read.run_id, read.hidden, read.ratio, read.audited) == ("run", 3, Ratio(3.0, 2.5), 4)
    np.testing.assert_allclose(read.candidates.boxes, TWO.boxes, atol=0.01)
    np.testing.assert_array_equal(read.candidates.known, TWO.known)
    assert read.earlier.calibration is not None
    np.testing.assert_array_equal(read.earlier.calibration.object, BEFORE_REVIEWS.object)


@pytest.mark.parametrize("text", ["{}", "[]", '{"candidates": {}}'])
def test_a_broken_file_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "candidates.json"
    path.write_text(text)
    with pytest.raises(SparseDetError, match=r"candidates\.json: unexpected content"):
        read_candidates(path)


def test_candidates_of_a_class_that_is_complete_now_are_not_missing() -> None:
    images = tuple(
        replace(image, complete_classes=frozenset({1} if image.id == 1 else {7}))
        for image in BEFORE.images
    )
    categories = (*BEFORE.categories, Category(7, "other"))
    now = replace(BEFORE, images=images, categories=categories)
    evidence = read_evidence(replace(BEFORE, categories=categories), now, TWO, {}, ())
    assert evidence.open.tolist() == [False, False, True]
    assert evidence.found == ()


def test_none_is_hidden_of_a_class_that_is_complete_on_its_image() -> None:
    full = scene(images=100).dataset
    images = tuple(
        replace(i, complete_classes=frozenset({1} if i.id > 50 else {2})) for i in full.images
    )
    complete = replace(full, images=images)
    gone = hidden_from(complete, hide(complete, 0.2, seed=1))
    image_of = {box.id: box.image_id for box in full.boxes}
    assert gone
    assert all(image_of[id] <= 50 for id in gone)


def in_class(*complete: int, boxes: tuple[Box, ...] = ()) -> Dataset:
    """Return the images after classes became complete on the first one, and got boxes."""
    categories = (*BEFORE.categories, Category(7, "other"))
    first, *others = BEFORE.images
    images = (replace(first, complete_classes=frozenset(complete)), *others)
    return replace(BEFORE, images=images, categories=categories, boxes=boxes)


def test_candidates_of_a_class_that_became_complete_are_right_or_wrong() -> None:
    found = read_evidence(in_class(), in_class(1, boxes=with_box(0)), TWO, {}, ())
    assert found.judged.candidates.scores.tolist() == [0.9, 0.4]
    assert found.judged.right.tolist() == [True, False]
    # The second may show an object of the other class, which nobody has looked for.
    assert found.judged.not_right.scores.tolist() == [0.4]
    assert found.judged.known.right.tolist() == [True]
    # On a box of that class it does.
    (box,) = with_box(1)
    found = read_evidence(
        in_class(), in_class(1, boxes=(replace(box, category_id=7),)), TWO, {}, ()
    )
    assert found.judged.on_object.tolist() == [False, True]
    assert found.judged.not_right.scores.tolist() == [0.9]


@pytest.mark.parametrize(
    ("before", "after", "judge_only"),
    [
        ((), (7,), ()),  # another class
        ((1,), (1,), ()),  # known before
        ((), (1,), (1,)),  # marked since nothing of it was left to draw
    ],
)
def test_other_marks_say_nothing_of_them(
    before: tuple[int, ...], after: tuple[int, ...], judge_only: tuple[int, ...]
) -> None:
    found = read_evidence(in_class(*before), in_class(*after), TWO, {}, (), judge_only)
    assert len(found.judged.candidates) == 0


def test_what_a_reviewer_rejected_is_no_object_of_another_class() -> None:
    found = read_evidence(in_class(), in_class(1), TWO, {0: False}, ())
    assert found.judged.not_right.scores.tolist() == [0.4]
    assert found.judged.known.on_object.tolist() == [False]


def test_drawn_boxes_of_complete_classes_leave_others_as_missing_as_before() -> None:
    drawn = Box(9, 1, 1, (500, 500, 600, 600))
    both = (drawn, replace(drawn, id=10, category_id=7))
    assert read_evidence(in_class(), in_class(boxes=both), TWO, {}, ()).drawn[1] == 2
    assert read_evidence(in_class(), in_class(1, boxes=both), TWO, {}, ()).drawn[1] == 1
