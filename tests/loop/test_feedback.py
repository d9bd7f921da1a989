"""From reviews to the annotations of the next round."""

from dataclasses import replace

import pytest

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.config.training_config import load_config
from sparsedet.errors import TrainingError
from sparsedet.ledger import ImageReviews, LedgerBox
from sparsedet.loop.feedback import Feedback, round_keys, with_feedback
from sparsedet.loop.settings import TrainingSettings
from sparsedet.reviews import NOTHING_WRITTEN, Review, ReviewedRegion, Written

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


def mined(outcome: str, *, image: str = "11", xyxy: XYXY = MINED, id: str = "m1") -> LedgerBox:
    left, top, right, bottom = xyxy
    return LedgerBox(
        region_id=id,
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
    )


OWN = ReviewedRegion("own", "cat", DRAWN)
NEW = ReviewedRegion("new", "dog", ELSEWHERE)
M1 = ReviewedRegion("m1", "cat", MINED)


def review(
    *regions: ReviewedRegion, shown: tuple[ReviewedRegion, ...] = (OWN, M1), complete: bool = False
) -> Review:
    return Review(
        "11", "r", {region.region_id: region for region in shown}, regions, complete=complete
    )


def reviews(*reviewed: Review, written: Written = NOTHING_WRITTEN) -> list[ImageReviews]:
    """Reviews of the image 11, oldest first."""
    dated = tuple(
        replace(one, review_id=f"r{day}", saved_at=f"2026-01-{day:02d}T00:00:00Z")
        for day, one in enumerate(reviewed, start=1)
    )
    return [ImageReviews("11", dated, {"m1": M1}, (100, 100), written)]


def added(dataset: Dataset) -> list[tuple[int, XYXY, str | None, str | None]]:
    """What came to the pulled boxes: category, place, origin, tool id."""
    return [(b.category_id, b.xyxy, b.origin, b.tool_id) for b in dataset.boxes[1:]]


def feedback(reviewed: list[ImageReviews], *boxes: LedgerBox, pulled: Dataset = PULLED) -> Feedback:
    return with_feedback(pulled, boxes, reviewed)


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (M1, [(1, MINED, "accepted", "m1")]),
        (replace(M1, xyxy=MOVED, category="dog"), [(2, MOVED, "edited", "m1")]),
        (replace(M1, unsure=True), []),
    ],
)
def test_accepted_and_edited_boxes_are_annotations(left: ReviewedRegion, expected: object) -> None:
    result = feedback(reviews(review(OWN, left))).dataset
    assert result.boxes[0] == PULLED.boxes[0]
    assert added(result) == expected
    assert len({box.id for box in result.boxes}) == len(result.boxes)


def test_the_order_of_boxes_does_not_depend_on_their_ids() -> None:
    near = (10.0, 50.0, 40.0, 80.0)
    for first, second in [("a", "b"), ("b", "a")]:
        here, there = ReviewedRegion(first, "cat", near), ReviewedRegion(second, "cat", MINED)
        found = review(OWN, there, here, shown=(OWN, there, here))
        (image,) = reviews(found)
        image = replace(image, mined={first: here, second: there})
        result = with_feedback(PULLED, [], [image]).dataset
        assert [place[1][0] for place in added(result)] == [10.0, 50.0]


def test_rejected_boxes_are_verified_negatives_of_their_class() -> None:
    result = feedback(reviews(review(OWN)), mined("rejected"), mined("accepted", id="m2"))
    (box,) = result.dataset.verified_negatives
    assert (box.image_id, box.category_id, box.xyxy, box.tool_id) == (1, 1, MINED, "m1")


def test_what_the_source_holds_is_not_taken_twice() -> None:
    accepted = reviews(review(OWN, M1))
    merged = PULLED.with_boxes([*PULLED.boxes, Box(5, 1, 1, MINED, tool_id="m1")])
    result = feedback(accepted, mined("accepted"), pulled=merged).dataset
    assert added(result) == [(1, MINED, "accepted", "m1")]
    drawn_too = PULLED.with_boxes([*PULLED.boxes, Box(5, 1, 1, (52, 50, 82, 80), tool_id="h")])
    assert added(feedback(accepted, pulled=drawn_too).dataset) == [(1, (52, 50, 82, 80), None, "h")]


def test_what_was_deleted_in_the_source_after_a_merge_stays_deleted() -> None:
    merged = Written({"own": OWN, "m1": M1})
    assert added(feedback(reviews(review(OWN, M1), written=merged)).dataset) == []


def test_boxes_drawn_in_a_review_are_annotations() -> None:
    unsure = ReviewedRegion("maybe", "dog", MOVED, unsure=True)
    drawn = feedback(reviews(review(OWN, NEW, unsure))).dataset
    assert added(drawn) == [(2, ELSEWHERE, "human", "new")]


def test_what_a_reviewer_did_to_boxes_of_the_source_counts() -> None:
    renamed = feedback(reviews(review(replace(OWN, category="dog")))).dataset
    assert [(b.category_id, b.xyxy, b.tool_id) for b in renamed.boxes] == [(2, DRAWN, "own")]
    half_a_pixel = replace(OWN, xyxy=(10.5, 10, 30, 30))
    assert feedback(reviews(review(half_a_pixel))).dataset.boxes == PULLED.boxes
    assert feedback(reviews(review())).dataset.boxes == ()


def test_one_left_a_box_as_it_was_that_another_moved_or_deleted() -> None:
    moved = replace(OWN, xyxy=MOVED)
    for change in (review(moved, M1), review(M1)):
        for order in ([change, review(OWN, M1)], [review(OWN, M1), change]):
            result = feedback(reviews(*order)).dataset
            assert {box.tool_id: box.xyxy for box in result.boxes} == {
                **({"own": MOVED} if moved in change.regions else {}),
                "m1": MINED,
            }


def test_an_image_in_conflict_is_as_in_the_source() -> None:
    elsewhere = PULLED.with_boxes([replace(PULLED.boxes[0], xyxy=ELSEWHERE)])
    found = reviews(review(replace(OWN, xyxy=MOVED), M1, complete=True))
    result = feedback(found, pulled=elsewhere)
    assert (result.dataset, result.conflicts) == (elsewhere, 1)
    (line,) = result.lines()
    assert line.startswith("1 image was changed both in the project and in a review; ")
    assert "--conflicts" in line


def test_only_the_mark_of_the_last_review_makes_an_image_exhaustive() -> None:
    marked, unmarked = review(OWN, complete=True), review(OWN)
    for last, expected in [(unmarked, False), (marked, True)]:
        for first in (marked, unmarked):
            result = feedback(reviews(first, last)).dataset
            assert [image.exhaustive for image in result.images] == [expected, False]


def test_reviews_of_images_that_could_not_be_read_wait() -> None:
    unread = replace(PULLED, images=PULLED.images[1:], boxes=(), unread=frozenset({"11"}))
    found = feedback(reviews(review(OWN, M1)), mined("accepted"), pulled=unread)
    assert (found.absent, found.unread) == (0, 1)
    assert found.dataset == unread
    (line,) = found.lines()
    assert line.startswith("1 reviewed image could not be read this time")


def test_reviews_of_images_and_labels_that_the_choice_leaves_out_wait_without_a_word() -> None:
    (image,) = reviews(review(OWN, M1))
    part = replace(PULLED, left_out=frozenset({"99"}))
    assert with_feedback(part, [], [replace(image, tool_id="99")]).lines() == []
    no_dogs = replace(PULLED, categories=PULLED.categories[:1], left_out_labels=frozenset({"dog"}))
    result = feedback(reviews(review(OWN, NEW)), pulled=no_dogs)
    assert added(result.dataset) == []
    assert result.lines() == []
    result.check_labels()


def test_reviews_of_images_and_labels_that_are_gone_are_said() -> None:
    (image,) = reviews(review(OWN, M1))
    elsewhere = with_feedback(PULLED, [], [replace(image, tool_id="99")])
    assert (elsewhere.dataset, elsewhere.absent) == (PULLED, 1)
    assert elsewhere.lines()[0].startswith("1 reviewed image is no longer in the project; ")
    no_dogs = replace(PULLED, categories=PULLED.categories[:1])
    result = feedback(reviews(review(OWN, M1, NEW)), pulled=no_dogs)
    assert added(result.dataset) == [(1, MINED, "accepted", "m1")]
    assert "1 reviewed box was left out: its label is" in " ".join(result.lines())
    result.check_labels()  # one of two: training is worth it
    lost = feedback(reviews(review(OWN, NEW)), pulled=no_dogs)
    with pytest.raises(TrainingError, match=r"labels of 1 of 1 reviewed box .*dog 1.*\[labels\]"):
        lost.check_labels()


@pytest.mark.parametrize(("round", "least"), [(1, 0.4), (2, 0.0), (3, 0.0)])
def test_from_the_second_round_on_mined_boxes_are_used_everywhere(round: int, least: float) -> None:
    config = load_config("lite0_fpn", round_keys(TrainingSettings(), round))
    assert config.staged.min_missing == least


def test_what_the_settings_say_counts_more() -> None:
    training = TrainingSettings(keys={"SPARSEDET.STAGED.MIN_MISSING": 0.7, "SOLVER.MAX_ITER": 9})
    config = load_config("lite0_fpn", round_keys(training, 2))
    assert (config.staged.min_missing, config.solver.max_iter) == (0.7, 9)


def test_classes_that_reviewers_marked_are_complete() -> None:
    marked = replace(review(OWN, M1, NEW), complete_classes=frozenset({"dog", "bird"}))
    found = feedback(reviews(marked), mined("accepted")).dataset
    assert [image.complete_classes for image in found.images] == [{2}, frozenset()]
    assert not any(image.exhaustive for image in found.images)
    # What the project says already stays, and is not asked for again.
    images = (replace(PULLED.images[0], complete_classes=frozenset({1})), PULLED.images[1])
    known = feedback(reviews(marked), mined("accepted"), pulled=replace(PULLED, images=images))
    assert known.dataset.images[0].complete_classes == {1, 2}
