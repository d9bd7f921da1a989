"""Reviews of images shown without mined boxes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from sparsedet.ledger import Ledger, QueueEntry
from sparsedet.reviews import Review, ReviewedRegion, Written
from tests.ledger.builders import MINED, dataset, kept, new_push, outcomes, read, review

PLACE = new_push().place
SOURCE = PLACE.source
QUEUE = [QueueEntry(2, expected=1.5), QueueEntry(1, boxes=2)]
DRAWN = kept("own", "dog", (10.0, 10.0, 50.0, 50.0))
WIDE = (20.0, 10.0, 100.0, 50.0)
"""Where `DRAWN` is on an image that is twice as wide."""


@pytest.fixture(autouse=True)
def pushed(ledger: Ledger) -> None:
    """Image 11 went up with its boxes, 12 without any."""
    digests = {"11": "d11", "12": "d12"}
    ledger.record_push(new_push(round=1), MINED[:2], dataset(), digests=digests, queue=QUEUE)


def plain(*regions: ReviewedRegion, **more: Any) -> Review:
    """A review of the image without mined boxes."""
    return review(*regions, shown="", tool_id="12", **more)


def test_a_drawn_box_is_known_to_training_and_merges(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(plain(DRAWN, complete=True)))
    (image,) = ledger.image_reviews(SOURCE)
    assert (image.tool_id, image.size, image.mined) == ("12", (100, 100), {})
    verdict = image.verdict()
    assert verdict.complete
    assert verdict.drawn == {"own"}
    assert verdict.decisions["own"].region == DRAWN
    assert set(outcomes(ledger).values()) == {"pending"}


def test_a_mark_alone_is_a_review(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(plain(complete=True)))
    (image,) = ledger.image_reviews(SOURCE)
    assert image.verdict().complete
    (counts,) = ledger.rounds()
    assert (counts.reviewed_images, counts.seconds, counts.outcomes.drawn) == (1, 4.0, 0)


def test_a_merge_is_remembered(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(plain(DRAWN)))
    written = Written({"own": DRAWN}, complete=True)
    ledger.record_written(SOURCE, {"12": (written, "v2")})
    assert ledger.image_reviews(SOURCE)[0].written == written
    image = ledger.pushed_images(PLACE)[1]
    assert (image.tool_id, image.version, image.written) == ("12", "v2", written)


def test_a_withdrawn_review_leaves_nothing(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(plain(DRAWN)))
    ledger.record_reviews(PLACE, read())
    assert ledger.image_reviews(SOURCE) == []
    assert ledger.drawn() == []


def test_skipped_images_without_boxes_are_named(ledger: Ledger) -> None:
    skipped = plain(skipped=True)
    ledger.record_reviews(PLACE, read(skipped))
    assert ledger.skipped_images() == {"12"}
    ledger.record_reviews(PLACE, read(skipped, plain(DRAWN, day=2)))
    assert ledger.skipped_images() == set()
    assert ledger.pushed_images(PLACE)[1].tool_id == "12"


@pytest.mark.parametrize(
    ("version", "queue", "skipped"),
    [
        ("run-1", QUEUE[1:], set()),
        ("run-2", QUEUE[1:], set()),
        ("run-2", [], set()),
        ("run-2", QUEUE, {"12"}),
    ],
)
def test_a_skipped_image_waits_as_long_as_it_is_asked_for(
    version: str, queue: Sequence[QueueEntry], skipped: set[str], ledger: Ledger
) -> None:
    ledger.record_reviews(PLACE, read(plain(skipped=True)))
    ledger.record_push(new_push(version, round=1), [], dataset(), queue=queue)
    assert ledger.skipped_images() == skipped


def test_a_deleted_place_has_no_skipped_images(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(plain(DRAWN), review(skipped=True, shown="")))
    assert ledger.skipped_images() == {"11"}
    ledger.mark_gone(PLACE)
    assert ledger.skipped_images() == set()
    # What it said stays.
    assert [image.tool_id for image in ledger.image_reviews(SOURCE)] == ["11", "12"]
    assert ledger.image_reviews(SOURCE)[1].size == (100, 100)


def test_a_drawn_box_stays_where_it_was_on_an_image_of_another_size(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(plain(DRAWN)))
    ledger.record_written(SOURCE, {"12": (Written({"own": DRAWN}), None)})
    ledger.resize({"12": (200, 100), "77": (5, 5)}, SOURCE)
    (image,) = ledger.image_reviews(SOURCE)
    scaled = replace(DRAWN, xyxy=WIDE)
    assert (image.size, image.reviews[0].regions) == ((200, 100), (scaled,))
    assert image.written.boxes == {"own": scaled}
    assert ledger.pushed_images(PLACE)[1].size == (200, 100)
    assert ledger.drawn()[0].xyxy == WIDE
    # It is another file, too.
    assert ledger.digests() == {"11": ("d11", (100, 100))}


def test_a_push_of_an_image_of_another_size_scales_what_was_drawn(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(plain(DRAWN)))
    for _ in range(2):
        ledger.record_push(new_push("run-2"), [], dataset(size=(200, 100)), queue=QUEUE[:1])
        assert ledger.drawn()[0].xyxy == WIDE


def test_images_that_were_imported_again_are_the_same_images(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(plain(DRAWN)))
    ledger.rename_images({"12": "32", "99": "98"}, replace(SOURCE, project="other"))
    assert [row.image_tool_id for row in ledger.queued()] == ["12", "11"]
    ledger.rename_images({"12": "32", "99": "98"}, SOURCE)
    assert [(row.image_tool_id, row.position) for row in ledger.queued()] == [("32", 0), ("11", 1)]
    (image,) = ledger.image_reviews(SOURCE)
    assert (image.tool_id, image.size) == ("32", (100, 100))
    assert ledger.digests()["32"] == ("d12", (100, 100))
    assert {image.tool_id: image.version for image in ledger.pushed_images(PLACE)} == {
        "11": "v1",
        "32": "v1",
    }


def test_ids_may_be_swapped(ledger: Ledger) -> None:
    ledger.rename_images({"11": "12", "12": "11"})
    assert [(row.image_tool_id, row.boxes, row.expected) for row in ledger.queued()] == [
        ("11", 0, 1.5),
        ("12", 2, 0.0),
    ]


def test_an_image_that_was_queued_under_both_ids_becomes_one(ledger: Ledger) -> None:
    ledger.rename_images({"11": "12"})
    assert [(row.image_tool_id, row.boxes) for row in ledger.queued()] == [("12", 0)]


def test_a_server_that_moved_keeps_its_queue(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(plain(DRAWN)))
    ledger.relocate("label-studio", "7", "http://elsewhere")
    place = replace(PLACE, url="http://elsewhere")
    assert [row.push.place for row in ledger.queued()] == [place, place]
    assert [image.tool_id for image in ledger.pushed_images(place)] == ["11", "12"]
    assert ledger.image_reviews(place.source)[0].size == (100, 100)
    (drawn,) = ledger.drawn()
    assert drawn.round == 1


def test_a_label_that_was_renamed_is_renamed_in_what_was_drawn(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(plain(DRAWN)))
    ledger.relabel({"dog": "hound"})
    assert [box.category for box in ledger.drawn()] == ["hound"]
