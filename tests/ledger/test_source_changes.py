"""Changes of the source after a push: addresses, image ids, sizes and labels."""

from dataclasses import replace

import pytest

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.ledger import Ledger
from sparsedet.reviews import Written
from tests.ledger.builders import (
    MINED,
    SPOT,
    dataset,
    drafts,
    kept,
    new_push,
    outcomes,
    read,
    review,
)

PLACE = new_push().place
SOURCE = PLACE.source
WIDE = (20.0, 10.0, 100.0, 50.0)
"""`SPOT` on an image that is twice as wide."""


@pytest.fixture(autouse=True)
def reviewed(ledger: Ledger) -> None:
    """Image 11 is reviewed and merged, 12 waits."""
    ledger.record_push(new_push(), MINED, dataset(), digests={"11": "d11", "12": "d12"})
    ledger.record_reviews(PLACE, read(review(kept("a1"), kept("own", "bird"))))
    ledger.record_written(SOURCE, {"11": (Written({"a1": kept("a1"), "a2": None}), "v2")})


def test_a_server_that_moved_keeps_its_projects(ledger: Ledger) -> None:
    (before,) = ledger.image_reviews(SOURCE)
    ledger.relocate("label-studio", "9", "http://elsewhere")
    assert ledger.places() == [PLACE]
    ledger.relocate("label-studio", "7", "http://elsewhere")
    (place,) = ledger.places()
    assert place == replace(PLACE, url="http://elsewhere")
    assert ledger.image_reviews(place.source) == [before]
    assert ledger.digests(place.source).keys() == {"11", "12"}
    assert {image.version for image in ledger.pushed_images(place)} == {"v1", "v2"}
    # Pushed to again under its old address, an image is known by both.
    ledger.record_push(new_push("run-2"), MINED, dataset("v2"), digests={"12": "d12"})
    ledger.record_written(SOURCE, {"11": (Written({"own": kept("own")}, complete=True), "v3")})
    ledger.relocate("label-studio", "7", "http://elsewhere")
    first, second = ledger.pushed_images(place)
    assert (first.tool_id, second.tool_id) == ("11", "12")
    assert first.written.boxes == {"a1": kept("a1"), "a2": None, "own": kept("own")}
    assert first.written.complete


def test_merges_are_still_of_the_same_annotation_when_a_server_moved(ledger: Ledger) -> None:
    """If that annotation is deleted later, the reviews apply to the one that counts then."""
    ledger.record_written(SOURCE, {"11": (Written({"a1": kept("a1")}, holder="5"), "5@2026")})
    ledger.relocate("label-studio", "7", "http://elsewhere")
    (place,) = ledger.places()
    (image,) = ledger.image_reviews(place.source)
    assert image.written == Written({"a1": kept("a1")}, holder="5")


def test_images_that_were_imported_again_are_the_same_images(ledger: Ledger) -> None:
    ledger.rename_images({"11": "31", "99": "98"}, SOURCE)
    assert {box.image_tool_id for box in ledger.boxes()} == {"31", "12"}
    (image,) = ledger.image_reviews(SOURCE)
    assert image.tool_id == "31"
    assert {review.tool_id for review in image.reviews} == {"31"}
    assert image.written.boxes == {"a1": kept("a1"), "a2": None}
    assert ledger.digests() == {"31": ("d11", (100, 100)), "12": ("d12", (100, 100))}
    versions = {image.tool_id: image.version for image in ledger.pushed_images(PLACE)}
    assert versions == {"31": "v2", "12": "v1"}
    # A place that still has the old id takes nothing back.
    ledger.record_reviews(PLACE, read(review(kept("a1")), known="11 12"))
    assert outcomes(ledger) == {"a1": "accepted", "a2": "rejected", "b1": "pending"}


def test_ids_may_be_swapped(ledger: Ledger) -> None:
    ledger.rename_images({"11": "12", "12": "11"})
    assert {box.region_id: box.image_tool_id for box in ledger.boxes()} == {
        "a1": "12",
        "a2": "12",
        "b1": "11",
    }
    assert {id: digest for id, (digest, _) in ledger.digests().items()} == {
        "12": "d11",
        "11": "d12",
    }
    versions = {image.tool_id: image.version for image in ledger.pushed_images(PLACE)}
    assert versions == {"12": "v2", "11": "v1"}
    assert [image.tool_id for image in ledger.image_reviews(SOURCE)] == ["12"]


def test_an_image_that_was_pushed_under_both_ids_becomes_one(ledger: Ledger) -> None:
    again = MinedBox("c1", 2, 1, SPOT, 0.9, 0.5)
    ledger.record_push(new_push("run-2"), [again], dataset("v5"))
    ledger.record_written(SOURCE, {"12": (Written({"c1": kept("c1")}), None)})
    ledger.rename_images({"11": "12"})
    (image,) = ledger.image_reviews(SOURCE)
    assert (image.tool_id, set(image.mined)) == ("12", {"a1", "a2", "b1", "c1"})
    assert image.written.boxes == {"a1": kept("a1"), "a2": None, "c1": kept("c1")}
    assert [image.version for image in ledger.pushed_images(PLACE)] == ["v5"]


def test_other_sources_are_left_alone(ledger: Ledger) -> None:
    other = replace(SOURCE, project="9")
    before = ledger.image_reviews(SOURCE)
    ledger.rename_images({"11": "31"}, other)
    ledger.resize({"11": (200, 100)}, other)
    ledger.relabel({"cat": "lion"}, other)
    assert ledger.image_reviews(SOURCE) == before
    assert {box.category for box in ledger.boxes()} == {"cat", "dog"}


def test_an_image_of_another_size_has_its_boxes_where_they_were(ledger: Ledger) -> None:
    ledger.resize({"11": (200, 100), "12": (100, 100), "77": (5, 5)})
    accepted, rejected, waiting = ledger.boxes()
    assert (accepted.xyxy, accepted.final_xyxy, accepted.size) == (WIDE, WIDE, (200, 100))
    assert (rejected.xyxy, rejected.final_xyxy) == (WIDE, None)
    assert (waiting.xyxy, waiting.size) == (SPOT, (100, 100))
    (image,) = ledger.image_reviews(SOURCE)
    assert image.size == (200, 100)
    assert image.mined["a1"] == kept("a1", xyxy=WIDE)
    (scaled,) = image.reviews
    assert scaled.shown == {"a1": kept("a1", xyxy=WIDE), "a2": kept("a2", "dog", WIDE)}
    assert scaled.regions == (kept("a1", xyxy=WIDE), kept("own", "bird", WIDE))
    assert image.written.boxes == {"a1": kept("a1", xyxy=WIDE), "a2": None}
    assert ledger.pushed_images(PLACE)[0].size == (200, 100)
    # It is another file, too.
    assert ledger.digests() == {"12": ("d12", (100, 100))}


def test_a_push_of_an_image_of_another_size_scales_what_is_known(ledger: Ledger) -> None:
    ledger.record_push(new_push("run-2"), MINED, dataset(size=(200, 100)))
    assert {box.xyxy for box in ledger.boxes()} == {WIDE}
    ledger.record_push(new_push("run-2"), MINED, dataset(size=(200, 100)))
    assert {box.xyxy for box in ledger.boxes()} == {WIDE}


def test_labels_are_renamed_everywhere(ledger: Ledger) -> None:
    ledger.record_push(drafts("run-2"), MINED[2:], dataset())
    ledger.relabel({"cat": "dog", "dog": "cat", "bird": "swan"})
    assert [box.category for box in ledger.boxes()] == ["dog", "cat", "dog"]
    assert ledger.boxes()[0].final_category == "dog"
    (image,) = ledger.image_reviews(SOURCE)
    (renamed,) = image.reviews
    assert renamed.shown == {"a1": kept("a1", "dog"), "a2": kept("a2", "cat")}
    assert renamed.regions == (kept("a1", "dog"), kept("own", "swan"))
    assert image.written.boxes == {"a1": kept("a1", "dog"), "a2": None}
    assert image.verdict().decisions["a1"].origin == "accepted"
    assert image.verdict().drawn == {"own"}
