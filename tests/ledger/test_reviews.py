"""Reviews settle outcomes, and merges write them to the source."""

from collections.abc import Mapping

import pytest

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.ledger import Ledger
from sparsedet.reviews import NOTHING_WRITTEN, ReviewedRegion, Written
from tests.ledger.builders import (
    MINED,
    SPOT,
    dataset,
    drafts,
    in_source,
    kept,
    mined_region,
    new_push,
    outcomes,
    read,
    review,
)

PLACE = new_push().place
OTHER = new_push(review_project="9").place


@pytest.fixture(autouse=True)
def pushed(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED, dataset())


def merge(ledger: Ledger, boxes: Mapping[str, ReviewedRegion | None], tool_id: str = "11") -> None:
    ledger.record_written(PLACE.source, {tool_id: (Written(boxes), "v2")})


@pytest.mark.parametrize(
    ("left", "outcome"),
    [
        ((), "rejected"),
        ((kept("a1"),), "accepted"),
        ((kept("a1", xyxy=(9.0, 11.0, 51.0, 49.0)),), "accepted"),  # one pixel
        ((kept("a1", xyxy=(8.9, 10.0, 50.0, 50.0)),), "edited"),
        ((kept("a1", xyxy=(10.0, 10.0, 50.0, 51.1)),), "edited"),
        ((kept("a1", "dog"),), "edited"),
        ((kept("a1", "dog", unsure=True),), "pending"),
    ],
)
def test_only_label_edges_and_doubt_count(
    left: tuple[ReviewedRegion, ...], outcome: str, ledger: Ledger
) -> None:
    ledger.record_reviews(PLACE, read(review(*left)))
    assert outcomes(ledger)["a1"] == outcome


def test_reviews_settle_outcomes(ledger: Ledger) -> None:
    wider = kept("a1", xyxy=(10.0, 10.0, 60.0, 50.0))
    ledger.record_reviews(PLACE, read(review(wider, kept("own", "dog"))))
    assert outcomes(ledger) == {"a1": "edited", "a2": "rejected", "b1": "pending"}
    edited, rejected, _ = ledger.boxes()
    assert (edited.reviewer, edited.review_id, edited.seconds) == ("ann@example.com", "11-1", 4.0)
    assert (edited.final_category, edited.final_xyxy) == ("cat", (10.0, 10.0, 60.0, 50.0))
    assert (rejected.final_category, rejected.final_xyxy) == (None, None)
    assert rejected.reviewer == "ann@example.com"
    assert in_source(ledger) == set()


def test_all_pushes_of_a_place_are_settled_and_no_other(ledger: Ledger) -> None:
    ledger.record_push(new_push("run-2"), [MinedBox("c1", 1, 1, SPOT, 0.9, 0.5)], dataset())
    ledger.record_push(drafts(), [MinedBox("d1", 1, 1, SPOT, 0.9, 0.5)], dataset())
    ledger.record_reviews(PLACE, read(review(shown="a1 a2 c1")))
    assert outcomes(ledger) == {
        "a1": "rejected",
        "a2": "rejected",
        "b1": "pending",
        "c1": "rejected",
        "d1": "pending",
    }


def test_an_undecided_box_stays_pending(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(review(kept("a1", unsure=True), kept("a2", "dog"))))
    assert outcomes(ledger) == {"a1": "pending", "a2": "accepted", "b1": "pending"}
    undecided = ledger.boxes()[0]
    assert (undecided.reviewer, undecided.review_id) == ("ann@example.com", "11-1")
    assert (undecided.seconds, undecided.final_category) == (4.0, None)


def test_doubt_takes_an_outcome_back(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(review(kept("a1"))))
    doubt = review(kept("a1", unsure=True), shown="a1", day=2)
    ledger.record_reviews(PLACE, read(review(kept("a1")), doubt))
    assert outcomes(ledger) == {"a1": "pending", "a2": "rejected", "b1": "pending"}


def test_a_box_that_nobody_was_shown_is_not_rejected(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(review(kept("a1"), shown="a1")))
    assert outcomes(ledger) == {"a1": "accepted", "a2": "pending", "b1": "pending"}


def test_several_reviews_of_an_image_each_judge_what_they_were_shown(ledger: Ledger) -> None:
    later = review(shown="a2", reviewer="bob@example.com", day=2)
    ledger.record_reviews(PLACE, read(review(kept("a1"), shown="a1"), later))
    assert outcomes(ledger) == {"a1": "accepted", "a2": "rejected", "b1": "pending"}
    assert [box.reviewer for box in ledger.boxes()] == ["ann@example.com", "bob@example.com", None]


def test_of_reviews_made_side_by_side_a_rule_makes_one(ledger: Ledger) -> None:
    starred = review(kept("a1"), kept("a2", "dog"), offer="t1", ground_truth=True)
    newer = review(kept("a1"), offer="t1", day=2, reviewer="bob@example.com")
    both = read(starred, newer)
    ledger.record_reviews(PLACE, both)
    assert outcomes(ledger) == {"a1": "accepted", "a2": "accepted", "b1": "pending"}
    assert ledger.boxes()[0].reviewer == "ann@example.com"
    ledger.record_reviews(PLACE, both, rule="newest")
    assert outcomes(ledger) == {"a1": "accepted", "a2": "rejected", "b1": "pending"}
    assert ledger.boxes()[0].reviewer == "bob@example.com"
    (image,) = ledger.image_reviews(PLACE.source)
    assert image.verdict().decisions["a2"].fate == "kept"
    assert image.verdict("newest").decisions["a2"].fate == "deleted"


def test_a_rejection_outlives_the_tools_memory_of_what_was_shown(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(review()))
    ledger.record_reviews(PLACE, read(review(shown="")))
    assert outcomes(ledger) == {"a1": "rejected", "a2": "rejected", "b1": "pending"}
    # Training and merges hear of it, too.
    (image,) = ledger.image_reviews(PLACE.source)
    assert {id: d.fate for id, d in image.verdict().decisions.items()} == {
        "a1": "deleted",
        "a2": "deleted",
    }


def test_reviews_of_all_places_speak_of_an_image(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(review(kept("a1"))))
    later = new_push("run-2", review_project="9")
    ledger.record_push(later, [MinedBox("c1", 1, 1, SPOT, 0.9, 0.5)], dataset("v2"))
    deleted = review(kept("c1"), shown="a1 c1", day=2, reviewer="bob@example.com")
    ledger.record_reviews(OTHER, read(deleted, known="11"))
    assert outcomes(ledger) == {
        "a1": "rejected",
        "a2": "rejected",
        "b1": "pending",
        "c1": "accepted",
    }
    # The place of the earlier review says nothing new; nor does it when it is gone.
    ledger.record_reviews(PLACE, read(review(kept("a1"))))
    assert outcomes(ledger)["a1"] == "rejected"
    ledger.mark_gone(OTHER)
    ledger.record_reviews(PLACE, read(review(kept("a1"))))
    assert outcomes(ledger)["a1"] == "rejected"
    # It takes nothing back of what others said.
    ledger.record_reviews(PLACE, read())
    assert outcomes(ledger) == {
        "a1": "rejected",
        "a2": "pending",
        "b1": "pending",
        "c1": "accepted",
    }


def test_a_review_settles_a_withdrawn_box_all_the_same(ledger: Ledger) -> None:
    ledger.withdraw({"a1", "a2", "b1"})
    ledger.record_reviews(PLACE, read(review(kept("a1"), kept("a2", "dog", unsure=True))))
    assert outcomes(ledger) == {"a1": "accepted", "a2": "withdrawn", "b1": "withdrawn"}
    ledger.record_reviews(PLACE, read())
    assert outcomes(ledger) == {"a1": "pending", "a2": "withdrawn", "b1": "withdrawn"}


def test_skipped_images_are_named_and_their_boxes_pending(ledger: Ledger) -> None:
    skipped = review(skipped=True, shown="")
    ledger.record_reviews(PLACE, read(skipped))
    assert set(outcomes(ledger).values()) == {"pending"}
    assert ledger.skipped_images() == {"11"}
    assert ledger.boxes()[0].reviewer is None
    ledger.record_reviews(PLACE, read(skipped, review(kept("a1"), shown="a1", day=2)))
    assert ledger.skipped_images() == set()
    ledger.record_reviews(PLACE, read())
    assert ledger.skipped_images() == set()


def test_an_image_that_went_up_elsewhere_is_no_longer_skipped(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(review(skipped=True, shown="")))
    ledger.record_push(new_push("run-2", review_project="9"), MINED, dataset())
    assert ledger.skipped_images() == set()


def test_in_draft_mode_the_source_holds_every_outcome(ledger: Ledger) -> None:
    ledger.record_push(drafts(), MINED, dataset())  # pending boxes move there
    saved = review(kept("a1"), kept("a2", "dog", unsure=True))
    ledger.record_reviews(drafts().place, read(saved))
    assert outcomes(ledger) == {"a1": "accepted", "a2": "pending", "b1": "pending"}
    assert in_source(ledger) == {"a1"}
    assert ledger.image_reviews(PLACE.source) == []


def test_a_merge_brings_settled_boxes_into_the_source(ledger: Ledger) -> None:
    left = (kept("a1"), kept("a2", "dog", unsure=True))
    found = read(review(*left), review(tool_id="12", shown="b1"))
    ledger.record_reviews(PLACE, found)
    merge(ledger, {"a1": kept("a1")})
    assert in_source(ledger) == {"a1"}
    ledger.record_reviews(PLACE, found)
    assert in_source(ledger) == {"a1"}
    merge(ledger, {"b1": None}, "12")
    assert in_source(ledger) == {"a1", "b1"}


def test_undoing_a_merge_takes_them_out_again(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(review(kept("a1"))))
    merge(ledger, {"a1": kept("a1"), "a2": None})
    assert in_source(ledger) == {"a1", "a2"}
    ledger.record_written(PLACE.source, {"11": (NOTHING_WRITTEN, "v3")})
    assert in_source(ledger) == set()
    assert ledger.image_reviews(PLACE.source)[0].written == NOTHING_WRITTEN


def test_a_review_that_changed_after_its_merge_is_not_in_the_source(ledger: Ledger) -> None:
    both = review(kept("a1"), kept("a2", "dog"))
    ledger.record_reviews(PLACE, read(both))
    merge(ledger, {"a1": kept("a1"), "a2": kept("a2", "dog")})
    moved = kept("a1", xyxy=(10.0, 10.0, 52.0, 50.0))
    ledger.record_reviews(PLACE, read(review(moved, kept("a2", "dog"))))
    assert in_source(ledger) == {"a2"}
    # The reviewer changed it back to what was written.
    ledger.record_reviews(PLACE, read(both))
    assert in_source(ledger) == {"a1", "a2"}
    ledger.record_reviews(PLACE, read())
    assert in_source(ledger) == set()


def test_what_merges_wrote_is_remembered(ledger: Ledger) -> None:
    ledger.record_reviews(PLACE, read(review(kept("a1"))))
    content = ({"id": "a1", "value": {"rotation": 0}},)
    written = Written({"a1": kept("a1", content=content), "7": None}, complete=True)
    ledger.record_written(PLACE.source, {"11": (written, "v2"), "99": (written, None)})
    (image,) = ledger.image_reviews(PLACE.source)
    assert image.written == written
    assert image.written.boxes["a1"] is not None
    assert image.written.boxes["a1"].content == content
    assert ledger.pushed_images(PLACE)[0].written == written


def test_reviews_come_back_whole(ledger: Ledger) -> None:
    drawn = kept("own", "bird", content=({"id": "own", "meta": {"text": ["ü"]}},))
    first = review(
        kept("a1", unsure=True), drawn, complete=True, offer="t9", ground_truth=True, seconds=None
    )
    second = review(day=2, reviewer=None, skipped=True, shown="")
    ledger.record_reviews(PLACE, read(first, second))
    (image,) = ledger.image_reviews(PLACE.source)
    assert image.reviews == (first, second)
    assert image.reviews[0].regions[1].content == drawn.content
    assert image.mined == {"a1": mined_region("a1"), "a2": mined_region("a2")}
    assert image.size == (100, 100)


def test_the_first_to_accept_has_the_credit(ledger: Ledger) -> None:
    first = review(kept("a1"), shown="a1 a2", seconds=5.0)
    deleted = review(shown="a1", reviewer="bob@example.com", day=2)
    ledger.record_reviews(PLACE, read(first, deleted))
    assert outcomes(ledger) == {"a1": "rejected", "a2": "rejected", "b1": "pending"}
    # Who only leaves a box as it is does not take the credit for it.
    left = review(kept("a1"), shown="a1", reviewer="bob@example.com", seconds=9.0, day=2)
    ledger.record_reviews(PLACE, read(first, left))
    accepted = ledger.boxes()[0]
    assert (accepted.outcome, accepted.reviewer) == ("accepted", "ann@example.com")
    assert accepted.seconds == 5.0


def test_reviewed_boxes_are_those_that_somebody_saw(ledger: Ledger) -> None:
    """By the query as by the property, undecided boxes among them."""
    ledger.record_push(new_push(), MINED, dataset())
    assert ledger.reviewed_boxes() == []
    assert ledger.review_work() == []
    unsure = kept("a1", unsure=True)
    ledger.record_reviews(PLACE, read(review(unsure, mined_region("a2"))))
    reviewed = ledger.reviewed_boxes()
    assert {box.region_id for box in reviewed} == {"a1", "a2"} == ledger.reviewed_ids()
    assert [b.region_id for b in ledger.boxes() if b.is_reviewed] == [b.region_id for b in reviewed]
    assert {box.outcome for box in reviewed} == {"pending", "accepted"}
    assert len(ledger.review_work()) == 1
