"""The queue: images that people are asked to open, with or without mined boxes."""

from dataclasses import replace

import pytest

from sparsedet.annotations import Dataset, Image
from sparsedet.errors import SparseDetError
from sparsedet.ledger import Ledger, QueueEntry
from sparsedet.push_modes import PushedImage
from tests.ledger.builders import (
    CATEGORIES,
    MINED,
    dataset,
    drafts,
    mined_region,
    new_push,
    outcomes,
)

PLACE = new_push().place
PLAIN = QueueEntry(2, expected=1.5, seconds=9.0)
BOXED = QueueEntry(1, expected=2.25, boxes=2, seconds=12.5)


def _queue(ledger: Ledger) -> list[tuple[str, int | None]]:
    return [(row.image_tool_id, row.position) for row in ledger.queued()]


def test_the_queue_is_recorded_in_its_order(ledger: Ledger) -> None:
    ledger.record_push(new_push(round=1), MINED[:2], dataset(), queue=[PLAIN, BOXED])
    first, second = ledger.queued()
    assert (first.image_tool_id, first.file_name, first.position) == ("12", "b.jpg", 0)
    assert (first.audit, first.expected, first.boxes, first.seconds) == (False, 1.5, 0, 9.0)
    assert (first.size, first.push.round) == ((100, 100), 1)
    assert (second.image_tool_id, second.expected, second.boxes) == ("11", 2.25, 2)


def test_each_push_has_its_queue(ledger: Ledger) -> None:
    ledger.record_push(new_push(round=1), MINED[:2], dataset(), queue=[PLAIN, BOXED])
    ledger.record_push(new_push("run-2", round=2), [], dataset(), queue=[PLAIN])
    first, second = ledger.pushes()
    assert [row.push.round for row in ledger.queued()] == [1, 1, 2]
    assert [row.image_tool_id for row in ledger.queued(first)] == ["12", "11"]
    assert [row.image_tool_id for row in ledger.queued(second)] == ["12"]


def test_a_repeated_push_replaces_its_queue(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED[:2], dataset(), queue=[PLAIN, BOXED])
    again = replace(PLAIN, expected=0.5)
    ledger.record_push(new_push(), MINED[:2], dataset(), queue=[BOXED, again])
    assert _queue(ledger) == [("11", 0), ("12", 1)]
    assert ledger.queued()[1].expected == 0.5
    ledger.record_push(new_push(), MINED[:2], dataset(), queue=[BOXED])
    assert _queue(ledger) == [("11", 0)]
    # Somebody may have opened what is no longer asked for: its review still has to be read.
    assert [image.tool_id for image in ledger.pushed_images(PLACE)] == ["11", "12"]


def test_an_image_that_is_named_twice_has_its_first_place(ledger: Ledger) -> None:
    ledger.record_push(new_push(), [], dataset(), queue=[PLAIN, BOXED, PLAIN])
    assert [row.image_tool_id for row in ledger.queued()] == ["12", "11"]


def test_images_without_boxes_are_pushed_images(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED[:2], dataset(), queue=[PLAIN, BOXED])
    assert ledger.pushed_images(PLACE) == [
        PushedImage("11", "v1", {id: mined_region(id) for id in ("a1", "a2")}, size=(100, 100)),
        PushedImage("12", "v1", {}, size=(100, 100)),
    ]
    assert ledger.places() == [PLACE]


def test_an_audit_image_has_no_boxes(ledger: Ledger) -> None:
    queue = [replace(BOXED, audit=True, boxes=0), PLAIN]
    assert ledger.record_push(new_push(), MINED, dataset(), queue=queue) == 1
    assert set(outcomes(ledger)) == {"b1"}
    assert [row.audit for row in ledger.queued()] == [True, False]


def test_drafts_need_boxes(ledger: Ledger) -> None:
    ledger.record_push(drafts(), MINED[:2], dataset(), queue=[PLAIN, BOXED])
    assert [row.image_tool_id for row in ledger.queued()] == ["11"]
    assert [image.tool_id for image in ledger.pushed_images(drafts().place)] == ["11"]


def test_skipped_images_are_not_recorded(ledger: Ledger) -> None:
    ledger.record_push(new_push(), [], dataset(), {"12": "gone"}, queue=[PLAIN, BOXED])
    assert _queue(ledger) == [("11", 0)]


def test_images_that_the_tool_does_not_know_are_refused(ledger: Ledger) -> None:
    unknown = Dataset((Image(2, "b.jpg", 100, 100),), (), CATEGORIES)
    with pytest.raises(SparseDetError, match=r"image id 2 \(b.jpg\) has no tool_id"):
        ledger.record_push(new_push(), [], unknown, queue=[PLAIN])
    assert ledger.pushes() == []


def test_digests_find_images_without_boxes(ledger: Ledger) -> None:
    ledger.record_push(new_push(), [], dataset(), digests={"12": "d12"}, queue=[PLAIN])
    assert ledger.digests() == {"12": ("d12", (100, 100))}


def test_a_push_of_boxes_keeps_what_is_expected_of_them(ledger: Ledger) -> None:
    estimated = [replace(box, expected_precision=0.75) for box in MINED]
    ledger.record_push(new_push(), estimated[:1] + MINED[1:], dataset())
    assert [box.expected_precision for box in ledger.boxes()] == [0.75, None, None]
    ledger.record_push(new_push(), [MINED[0], *estimated[1:]], dataset())
    assert [box.expected_precision for box in ledger.boxes()] == [0.75, 0.75, 0.75]
    assert ledger.pending(dataset()) == tuple(estimated)
