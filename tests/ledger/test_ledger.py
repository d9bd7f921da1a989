"""What was pushed, where, and in which state its images were."""

from dataclasses import replace

import pytest

from sparsedet.annotations import Category, Dataset, Image
from sparsedet.errors import SparseDetError
from sparsedet.ledger import Ledger, Place
from sparsedet.tool import MergedImage, PushedImage
from tests.ledger.builders import (
    CATEGORIES,
    MINED,
    SPOT,
    dataset,
    drafts,
    kept,
    new_push,
    outcomes,
    review,
)


def _versions(ledger: Ledger, place: Place) -> dict[str, str | None]:
    return {image.tool_id: image.version for image in ledger.pushed_images(place)}


def test_pushed_boxes_are_pending(ledger: Ledger) -> None:
    assert ledger.record_push(new_push(round=3), MINED, dataset()) == 3
    assert outcomes(ledger) == {"a1": "pending", "a2": "pending", "b1": "pending"}
    box = ledger.boxes()[1]
    assert (box.image_tool_id, box.file_name, box.category) == ("11", "a.jpg", "dog")
    assert (box.xyxy, box.final_xyxy, box.score, box.threshold) == (SPOT, None, 0.8, 0.5)
    assert (box.round, box.source_version, box.in_source) == (3, "v1", False)


def test_a_repeated_push_records_nothing(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED, dataset())
    assert ledger.record_push(new_push(), MINED, dataset()) == 0
    assert len(ledger.pushes()) == 1


def test_a_box_stays_with_the_push_and_the_round_that_brought_it(ledger: Ledger) -> None:
    ledger.record_push(new_push(round=1), MINED[:2], dataset())
    assert ledger.record_push(new_push("run-2", round=2), MINED, dataset()) == 1
    first, second = ledger.pushes()
    assert [box.region_id for box in ledger.boxes(first)] == ["a1", "a2"]
    assert [box.region_id for box in ledger.boxes(second)] == ["b1"]
    assert [box.round for box in ledger.boxes()] == [1, 1, 2]


def test_the_rounds_of_one_model_are_told_apart(ledger: Ledger) -> None:
    for number in (None, 1, 1, 2):
        ledger.record_push(new_push(round=number), MINED, dataset())
    assert [push.round for push in ledger.pushes()] == [None, 1, 2]


def test_boxes_of_skipped_images_are_not_recorded(ledger: Ledger) -> None:
    skipped = {"11": "somebody else's draft"}
    assert ledger.record_push(new_push(), MINED, dataset(), skipped) == 1
    assert set(outcomes(ledger)) == {"b1"}
    assert set(_versions(ledger, new_push().place)) == {"12"}


def test_places_are_told_apart(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED[:2], dataset())
    ledger.record_push(drafts(), MINED[2:], dataset())
    ledger.record_push(new_push("run-2"), [], dataset())
    in_review, as_drafts = ledger.places()
    assert (in_review.review_project, in_review.mode) == ("8", "review-project")
    assert (as_drafts.review_project, as_drafts.mode) == ("7", "draft")
    assert ledger.pushed_images(in_review) == [PushedImage("11", "v1", frozenset({"a1", "a2"}))]
    assert ledger.pushed_images(as_drafts) == [PushedImage("12", "v1", frozenset({"b1"}))]


def test_only_a_pending_box_takes_the_version_of_a_later_push(ledger: Ledger) -> None:
    place = new_push().place
    ledger.record_push(new_push(), MINED, dataset("v1"))
    ledger.record_reviews(place, [review(kept("a1"))])
    ledger.record_push(new_push("run-2"), MINED, dataset("v2"))
    assert {box.region_id: box.source_version for box in ledger.boxes()} == {
        "a1": "v1",
        "a2": "v1",
        "b1": "v2",
    }
    assert _versions(ledger, place) == {"11": "v1", "12": "v2"}


def test_the_version_is_that_of_the_last_push_or_merge(ledger: Ledger) -> None:
    place = new_push().place
    ledger.record_push(new_push(), MINED[:1], dataset("v1"))
    ledger.record_reviews(place, [review(kept("a1"))])
    ledger.record_merge(place, [MergedImage("11", "changed", version="v2")])
    assert _versions(ledger, place) == {"11": "v2"}
    ledger.record_merge(place, [MergedImage("11", "same")])
    assert _versions(ledger, place) == {"11": "v2"}
    ledger.record_merge(place, [MergedImage("11", "conflict", version="v9")])
    assert _versions(ledger, place) == {"11": "v2"}
    ledger.record_push(new_push("run-2"), MINED[:2], dataset("v3"))
    assert _versions(ledger, place) == {"11": "v3"}


def test_a_pending_box_moves_to_the_place_where_it_is_put_up_next(ledger: Ledger) -> None:
    ledger.record_push(new_push(round=1), MINED, dataset("v1"))
    in_review = new_push().place
    ledger.record_reviews(in_review, [review(kept("a1"))])
    assert ledger.record_push(drafts("run-2"), MINED, dataset("v2")) == 0
    assert ledger.pushed_images(in_review) == [PushedImage("11", "v1", frozenset({"a1", "a2"}))]
    assert ledger.pushed_images(drafts().place) == [PushedImage("12", "v2", frozenset({"b1"}))]
    assert {box.round for box in ledger.boxes()} == {1}
    ledger.record_reviews(drafts().place, [review(kept("b1"), shown="b1", tool_id="12")])
    assert outcomes(ledger) == {"a1": "accepted", "a2": "rejected", "b1": "accepted"}


def test_pending_boxes_are_found_in_another_pull(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED, dataset())
    ledger.record_reviews(new_push().place, [review(kept("a1", unsure=True))])
    pulled = Dataset(
        (
            Image(31, "b.jpg", 100, 100, tool_id="12"),
            Image(32, "a.jpg", 100, 100, tool_id="11"),
            Image(33, "c.jpg", 100, 100),
        ),
        (),
        (Category(5, "dog"), Category(6, "cat")),
    )
    assert ledger.pending(pulled) == (
        replace(MINED[0], image_id=32, category_id=6),
        replace(MINED[2], image_id=31, category_id=6),
    )
    assert ledger.pending(replace(pulled, images=pulled.images[1:]))[1:] == ()
    assert ledger.pending(replace(pulled, categories=pulled.categories[:1])) == ()


def test_it_is_a_file(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED, dataset())
    ledger.close()
    again = Ledger(ledger.path, must_exist=True)
    assert len(again.boxes()) == 3
    again.close()


def test_images_that_the_tool_does_not_know_are_refused(ledger: Ledger) -> None:
    unknown = Dataset((Image(1, "a.jpg", 100, 100),), (), CATEGORIES)
    with pytest.raises(SparseDetError, match=r"image id 1 \(a.jpg\) has no tool_id"):
        ledger.record_push(new_push(), MINED[:1], unknown)
    assert ledger.pushes() == []
