"""From reviews to the annotations of the next round."""

import logging
from dataclasses import replace

import pytest

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.config.training_config import load_config
from sparsedet.ledger import LedgerBox, Place
from sparsedet.loop.feedback import round_keys, with_feedback
from sparsedet.loop.reviews import PlaceReviews
from sparsedet.loop.settings import TrainingSettings
from sparsedet.tool import PushedImage, ReviewedImage, ReviewedRegion

DRAWN: XYXY = (10, 10, 30, 30)
MINED: XYXY = (50, 50, 80, 80)
MOVED: XYXY = (55, 50, 85, 80)
ELSEWHERE: XYXY = (60, 10, 90, 30)
PULLED = Dataset(
    (
        Image(1, "a.jpg", 100, 100, tool_id="11", tool_version="v1"),
        Image(2, "b.jpg", 100, 100, tool_id="12"),
    ),
    (Box(4, 1, 1, DRAWN, origin="human", tool_id="own"),),
    (Category(1, "cat"), Category(2, "dog")),
)


def mined(outcome: str, *, image: str = "11", in_source: bool = False) -> LedgerBox:
    left, top, right, bottom = MINED
    final = {"accepted": MINED, "edited": MOVED}.get(outcome, (None,) * 4)
    return LedgerBox(
        region_id="m1",
        push_id=1,
        round=1,
        image_tool_id=image,
        file_name="a.jpg",
        category="cat",
        left=left,
        top=top,
        right=right,
        bottom=bottom,
        score=0.9,
        threshold=0.5,
        outcome=outcome,
        final_category={"accepted": "cat", "edited": "dog"}.get(outcome),
        final_left=final[0],
        final_top=final[1],
        final_right=final[2],
        final_bottom=final[3],
        in_source=in_source,
    )


PLACE = Place("label-studio", "http://localhost:8080", "7", "8", "review-project")


def review(
    *regions: ReviewedRegion, shown: str = "m1 own", complete: bool = False
) -> ReviewedImage:
    return ReviewedImage("11", regions, frozenset(shown.split()), None, None, complete=complete)


def reviews(
    *reviewed: ReviewedImage, version: str | None = "v1", merged: bool = False, place: Place = PLACE
) -> list[PlaceReviews]:
    """Reviews of the image 11, whose boxes were pushed when it had this version."""
    pushed = PushedImage("11", version, frozenset({"m1"}), merged)
    return [PlaceReviews(place, [pushed], reviewed)]


def added(dataset: Dataset) -> list[tuple[int, XYXY, str | None, str | None]]:
    """What came to the pulled boxes: category, place, origin, tool id."""
    return [(b.category_id, b.xyxy, b.origin, b.tool_id) for b in dataset.boxes[1:]]


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("accepted", [(1, MINED, "accepted", "m1")]),
        ("edited", [(2, MOVED, "edited", "m1")]),
        ("rejected", []),
        ("pending", []),
    ],
)
def test_accepted_and_edited_boxes_are_annotations(outcome: str, expected: object) -> None:
    result = with_feedback(PULLED, [mined(outcome)], [])
    assert result.boxes[0] == PULLED.boxes[0]
    assert added(result) == expected
    assert len({box.id for box in result.boxes}) == len(result.boxes)


def test_the_order_of_boxes_does_not_depend_on_their_ids() -> None:
    here, there = mined("accepted"), mined("accepted")
    there.final_left, there.final_right, there.left, there.right = 10.0, 40.0, 10.0, 40.0
    for first, second in [("a", "b"), ("b", "a")]:
        here.region_id, there.region_id = first, second
        ordered = sorted([here, there], key=lambda box: box.region_id)
        result = with_feedback(PULLED, ordered, [])
        assert [place[1][0] for place in added(result)] == [10.0, 50.0]


def test_rejected_boxes_are_verified_negatives_of_their_class() -> None:
    (box,) = with_feedback(PULLED, [mined("rejected")], []).verified_negatives
    assert (box.image_id, box.category_id, box.xyxy, box.tool_id) == (1, 1, MINED, "m1")


def test_what_the_source_holds_is_not_taken_twice() -> None:
    merged = PULLED.with_boxes([*PULLED.boxes, Box(5, 1, 1, MINED, tool_id="m1")])
    assert added(with_feedback(merged, [mined("accepted")], [])) == [(1, MINED, "accepted", "m1")]
    drawn_too = PULLED.with_boxes([*PULLED.boxes, Box(5, 1, 1, (52, 50, 82, 80), tool_id="h")])
    assert added(with_feedback(drawn_too, [mined("accepted")], [])) == [
        (1, (52, 50, 82, 80), None, "h")
    ]


def test_what_was_deleted_in_the_source_after_a_merge_stays_deleted() -> None:
    assert added(with_feedback(PULLED, [mined("accepted", in_source=True)], [])) == []


OWN = ReviewedRegion("own", "cat", DRAWN)
NEW = ReviewedRegion("new", "dog", ELSEWHERE)


def test_boxes_drawn_in_a_review_are_annotations() -> None:
    unsure = ReviewedRegion("maybe", "dog", MOVED, unsure=True)
    drawn = with_feedback(PULLED, [], reviews(review(OWN, NEW, unsure)))
    assert added(drawn) == [(2, ELSEWHERE, "human", "new")]
    # Shown, so it was in the source once, where somebody has deleted it since.
    gone = with_feedback(PULLED, [], reviews(review(OWN, NEW, shown="own new"), version="v0"))
    assert added(gone) == []


def test_a_later_review_overrules_an_earlier_one() -> None:
    first = review(OWN, NEW)
    deleted = review(OWN, shown="own new")
    assert added(with_feedback(PULLED, [], reviews(first, deleted))) == []
    moved = review(OWN, replace(NEW, xyxy=MINED), shown="own new")
    assert added(with_feedback(PULLED, [], reviews(first, moved))) == [(2, MINED, "human", "new")]


def test_what_a_reviewer_did_to_boxes_of_the_source_counts() -> None:
    renamed = with_feedback(PULLED, [], reviews(review(replace(OWN, category="dog"))))
    assert [(b.category_id, b.xyxy, b.tool_id) for b in renamed.boxes] == [(2, DRAWN, "own")]
    half_a_pixel = replace(OWN, xyxy=(10.5, 10, 30, 30))
    assert with_feedback(PULLED, [], reviews(review(half_a_pixel))).boxes == PULLED.boxes
    assert with_feedback(PULLED, [], reviews(review())).boxes == ()


@pytest.mark.parametrize("merged", [False, True])
def test_a_source_that_changed_since_comes_first(merged: bool) -> None:
    found = reviews(review(NEW, complete=True), version="v0", merged=merged)
    result = with_feedback(PULLED, [], found)
    assert result.boxes[0] == PULLED.boxes[0]
    # After a merge the source held the drawn box; somebody has deleted it since.
    assert added(result) == ([] if merged else [(2, ELSEWHERE, "human", "new")])
    assert not result.images[0].exhaustive


def test_only_the_mark_of_the_last_review_makes_an_image_exhaustive() -> None:
    marked, unmarked = review(OWN, complete=True), review(OWN)
    for last, expected in [(unmarked, False), (marked, True)]:
        for first in (marked, unmarked):
            result = with_feedback(PULLED, [], reviews(first, last))
            assert [image.exhaustive for image in result.images] == [expected, False]


def test_a_saved_draft_is_the_source_itself() -> None:
    drafts = replace(PLACE, mode="draft")
    saved = reviews(review(NEW, complete=True), place=drafts)
    assert with_feedback(PULLED, [], saved) == PULLED


def test_reviews_of_images_and_labels_that_are_gone_are_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert with_feedback(PULLED, [mined("accepted", image="99")], []) == PULLED
    no_dogs = replace(PULLED, categories=PULLED.categories[:1])
    with caplog.at_level(logging.WARNING):
        assert added(with_feedback(no_dogs, [mined("edited")], [])) == []
    assert "1 reviewed boxes are left out" in caplog.text
    assert "dog" in caplog.text


def reviewed(rejected: int, *origins: str) -> Dataset:
    """Annotations of these origins, and so many boxes that were rejected."""
    xyxy = (1.0, 1.0, 5.0, 9.0)
    boxes = tuple(Box(number, 1, 1, xyxy, origin=origin) for number, origin in enumerate(origins))
    background = tuple(Box(number, 1, 1, xyxy) for number in range(rejected))
    return Dataset((Image(1, "a.png", 64, 48),), boxes, (Category(1, "cell"),), background)


@pytest.mark.parametrize(
    ("dataset", "least"),
    [
        (reviewed(0, "human", "human"), 0.4),
        (reviewed(1, "human", "accepted", "edited"), 0.0),
        (reviewed(2, "human", "accepted", "edited"), 0.4),
    ],
)
def test_reviewers_who_confirm_mined_boxes_have_them_trained_on(
    dataset: Dataset, least: float
) -> None:
    config = load_config("lite0_fpn", round_keys(TrainingSettings(), dataset))
    assert config.staged.min_missing == least


def test_what_the_settings_say_counts_more() -> None:
    training = TrainingSettings(keys={"SPARSEDET.STAGED.MIN_MISSING": 0.7, "SOLVER.MAX_ITER": 9})
    config = load_config("lite0_fpn", round_keys(training, reviewed(0, "accepted")))
    assert (config.staged.min_missing, config.solver.max_iter) == (0.7, 9)
