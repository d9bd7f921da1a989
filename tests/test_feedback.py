"""From reviews to the annotations of the next round."""

import logging
from dataclasses import replace

import pytest

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.feedback import with_feedback
from sparsedet.ledger import LedgerBox
from sparsedet.tool import ReviewedImage, ReviewedRegion

DRAWN: XYXY = (10, 10, 30, 30)
MINED: XYXY = (50, 50, 80, 80)
MOVED: XYXY = (55, 50, 85, 80)
ELSEWHERE: XYXY = (60, 10, 90, 30)
PULLED = Dataset(
    (Image(1, "a.jpg", 100, 100, tool_id="11"), Image(2, "b.jpg", 100, 100, tool_id="12")),
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


def review(
    *regions: ReviewedRegion, shown: str = "m1 own", complete: bool = False
) -> ReviewedImage:
    return ReviewedImage("11", regions, frozenset(shown.split()), None, None, complete=complete)


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


def test_rejected_boxes_are_verified_background_of_their_class() -> None:
    (box,) = with_feedback(PULLED, [mined("rejected")], []).background
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


def test_boxes_drawn_in_a_review_are_annotations() -> None:
    drawn = ReviewedRegion("new", "dog", ELSEWHERE)
    deleted_in_source = ReviewedRegion("gone", "dog", ELSEWHERE)
    unsure = replace(drawn, region_id="maybe", unsure=True)
    own = ReviewedRegion("own", "cat", DRAWN)
    result = with_feedback(PULLED, [], [review(own, drawn, unsure)])
    assert added(result) == [(2, ELSEWHERE, "human", "new")]
    shown = review(deleted_in_source, shown="own gone")
    assert added(with_feedback(PULLED, [], [shown])) == []


def test_only_a_mark_makes_an_image_exhaustive() -> None:
    assert not any(image.exhaustive for image in with_feedback(PULLED, [], [review()]).images)
    marked = with_feedback(PULLED, [], [review(complete=True)])
    assert [image.exhaustive for image in marked.images] == [True, False]


def test_reviews_of_images_and_labels_that_are_gone_are_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert with_feedback(PULLED, [mined("accepted", image="99")], []) == PULLED
    no_dogs = replace(PULLED, categories=PULLED.categories[:1])
    with caplog.at_level(logging.WARNING):
        assert added(with_feedback(no_dogs, [mined("edited")], [])) == []
    assert "1 reviewed boxes are left out" in caplog.text
    assert "dog" in caplog.text
