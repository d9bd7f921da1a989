"""What was pushed, where, and the state of its images."""

from dataclasses import replace
from typing import Any

import pytest

from sparsedet.annotations import Category, Dataset, Image
from sparsedet.errors import SparseDetError
from sparsedet.ledger import Ledger, Place
from sparsedet.push_modes import PushedImage
from sparsedet.reviews import Written
from tests.ledger.builders import (
    CATEGORIES,
    MINED,
    SPOT,
    dataset,
    drafts,
    kept,
    mined_region,
    new_push,
    outcomes,
    read,
    review,
)


def _versions(ledger: Ledger, place: Place) -> dict[str, str | None]:
    return {image.tool_id: image.version for image in ledger.pushed_images(place)}


def _pushed(tool_id: str, version: str, ids: str, **more: Any) -> PushedImage:
    boxes = {id: mined_region(id) for id in ids.split()}
    return PushedImage(tool_id, version, boxes, size=(100, 100), **more)


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
    assert ledger.pushed_images(in_review) == [_pushed("11", "v1", "a1 a2")]
    assert ledger.pushed_images(as_drafts) == [_pushed("12", "v1", "b1")]


def test_only_a_pending_box_takes_the_version_of_a_later_push(ledger: Ledger) -> None:
    place = new_push().place
    ledger.record_push(new_push(), MINED, dataset("v1"))
    ledger.record_reviews(place, read(review(kept("a1"))))
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
    ledger.record_reviews(place, read(review(kept("a1"))))
    ledger.record_written(place.source, {"11": (Written({"a1": kept("a1")}), "v2")})
    assert _versions(ledger, place) == {"11": "v2"}
    ledger.record_written(place.source, {"11": (Written({"a1": kept("a1")}), None)})
    assert _versions(ledger, place) == {"11": "v2"}
    ledger.record_push(new_push("run-2"), MINED[:2], dataset("v3"))
    assert _versions(ledger, place) == {"11": "v3"}


def test_a_pending_box_moves_to_the_place_where_it_is_put_up_next(ledger: Ledger) -> None:
    ledger.record_push(new_push(round=1), MINED, dataset("v1"))
    in_review = new_push().place
    ledger.record_reviews(in_review, read(review(kept("a1"))))
    assert ledger.record_push(drafts("run-2"), MINED, dataset("v2")) == 0
    assert ledger.pushed_images(in_review) == [_pushed("11", "v1", "a1 a2")]
    assert ledger.pushed_images(drafts().place) == [_pushed("12", "v2", "b1")]
    assert {box.round for box in ledger.boxes()} == {1}
    accepted = review(kept("b1"), shown="b1", tool_id="12")
    ledger.record_reviews(drafts().place, read(accepted, known="12"))
    assert outcomes(ledger) == {"a1": "accepted", "a2": "rejected", "b1": "accepted"}


def test_drafts_are_told_apart_by_the_version_they_were_put_onto(ledger: Ledger) -> None:
    ledger.record_push(drafts(), MINED[:1], dataset("v1"))
    ledger.record_reviews(drafts().place, read(review(kept("a1"), shown="a1"), known="11"))
    ledger.record_push(drafts("run-2"), MINED[:2], dataset("v2"))
    assert ledger.pushed_images(drafts().place) == [
        _pushed("11", "v1", "a1"),
        _pushed("11", "v2", "a2"),
    ]


def test_a_gone_place_is_no_longer_asked_and_keeps_what_it_said(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED, dataset())
    ledger.record_push(new_push("run-2"), MINED[:1], dataset())
    place = new_push().place
    ledger.record_reviews(place, read(review(kept("a1"))))
    ledger.mark_gone(place)
    assert ledger.places() == []
    assert outcomes(ledger) == {"a1": "accepted", "a2": "rejected", "b1": "pending"}
    (known,) = ledger.image_reviews(place.source)
    assert known.reviews == (review(kept("a1")),)
    # Its pending boxes go up elsewhere; the rest is history.
    elsewhere = new_push("run-3", review_project="9")
    ledger.record_push(elsewhere, MINED, dataset("v2"))
    assert ledger.places() == [elsewhere.place]
    assert ledger.pushed_images(elsewhere.place) == [_pushed("12", "v2", "b1")]


def test_what_was_deleted_and_is_there_again_is_a_place(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED[:1], dataset())
    ledger.mark_gone(new_push().place)
    ledger.record_push(new_push("run-2"), MINED, dataset())
    assert ledger.places() == [new_push().place]


def test_withdrawn_boxes_wait_for_nobody_until_they_are_pushed_again(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED, dataset())
    ledger.record_reviews(new_push().place, read(review(kept("a1"))))
    assert ledger.withdraw({"a1", "b1"}) == 1
    assert outcomes(ledger) == {"a1": "accepted", "a2": "rejected", "b1": "withdrawn"}
    assert ledger.pending(dataset()) == ()
    assert ledger.pushed_images(new_push().place) == [
        _pushed("11", "v1", "a1 a2"),
        _pushed("12", "v1", "b1", withdrawn=frozenset({"b1"})),
    ]
    elsewhere = new_push("run-2", review_project="9")
    assert ledger.record_push(elsewhere, MINED, dataset("v2")) == 0
    assert outcomes(ledger)["b1"] == "pending"
    assert ledger.pushed_images(elsewhere.place) == [_pushed("12", "v2", "b1")]


def test_digests_find_images(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED[:1], dataset(), digests={"11": "d11", "12": "d12"})
    assert ledger.digests() == {"11": ("d11", (100, 100))}
    ledger.record_push(new_push("run-2"), MINED, dataset(), digests={"12": "d12"})
    assert ledger.digests(new_push().place.source) == {
        "11": ("d11", (100, 100)),
        "12": ("d12", (100, 100)),
    }
    assert ledger.digests(new_push(project="other").place.source) == {}


def test_pending_boxes_are_found_in_another_pull(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED, dataset())
    ledger.record_reviews(new_push().place, read(review(kept("a1", unsure=True))))
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
