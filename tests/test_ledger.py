"""The ledger: what was pushed, and what became of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import XYXY, Category, Dataset, Image
from sparsedet.errors import SparseDetError
from sparsedet.ledger import Ledger, Push, judge
from sparsedet.mining.mined import MinedBox
from sparsedet.tool import ReviewedImage, ReviewedRegion

PLACE: XYXY = (10.0, 10.0, 50.0, 50.0)
DATASET = Dataset(
    (Image(1, "a.jpg", 100, 100, tool_id="11"), Image(2, "b.jpg", 100, 100, tool_id="12")),
    (),
    (Category(1, "cat"), Category(2, "dog")),
)
MINED = [
    MinedBox("a1", 1, 1, PLACE, 0.9, 0.5),
    MinedBox("a2", 1, 2, PLACE, 0.8, 0.5),
    MinedBox("b1", 2, 1, PLACE, 0.7, 0.5),
]


def new_push(version: str = "run-1") -> Push:
    return Push(
        tool="label-studio",
        url="http://localhost:8080",
        project="7",
        review_project="8",
        model_version=version,
    )


def review(
    *regions: ReviewedRegion, shown: str = "a1 a2", tool_id: str = "11", **more: Any
) -> ReviewedImage:
    details = {"reviewer": "ann@example.com", "seconds": 4.0} | more
    return ReviewedImage(tool_id, regions, frozenset(shown.split()), **details)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "new" / "ledger.sqlite")
    yield ledger
    ledger.close()


def outcomes(ledger: Ledger) -> dict[str, str]:
    return {box.region_id: box.outcome for box in ledger.boxes()}


@pytest.mark.parametrize(
    ("final", "outcome"),
    [
        (None, "rejected"),
        (ReviewedRegion("x", "cat", PLACE), "accepted"),
        (ReviewedRegion("x", "cat", (9.0, 11.0, 51.0, 49.0)), "accepted"),  # one pixel
        (ReviewedRegion("x", "cat", (8.9, 10.0, 50.0, 50.0)), "edited"),
        (ReviewedRegion("x", "cat", (10.0, 10.0, 50.0, 51.1)), "edited"),
        (ReviewedRegion("x", "dog", PLACE), "edited"),
    ],
)
def test_judge(final: ReviewedRegion | None, outcome: str) -> None:
    assert judge("cat", PLACE, final) == outcome


def test_pushed_boxes_are_pending(ledger: Ledger) -> None:
    assert ledger.record_push(new_push(), MINED, DATASET) == 3
    assert outcomes(ledger) == {"a1": "pending", "a2": "pending", "b1": "pending"}
    box = ledger.boxes()[1]
    assert (box.image_tool_id, box.file_name, box.category) == ("11", "a.jpg", "dog")
    assert (box.xyxy, box.score, box.threshold) == (PLACE, 0.8, 0.5)


def test_a_repeated_push_records_nothing(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED, DATASET)
    assert ledger.record_push(new_push(), MINED, DATASET) == 0
    assert len(ledger.pushes()) == 1


def test_a_box_stays_with_the_push_that_brought_it(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED[:2], DATASET)
    assert ledger.record_push(new_push("run-2"), MINED, DATASET) == 1
    first, second = ledger.pushes()
    assert [box.region_id for box in ledger.boxes(first)] == ["a1", "a2"]
    assert [box.region_id for box in ledger.boxes(second)] == ["b1"]


def test_reviews_settle_outcomes(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED, DATASET)
    (push,) = ledger.pushes()
    kept = ReviewedRegion("a1", "cat", (10.0, 10.0, 60.0, 50.0))
    ledger.record_review(push, [review(kept, ReviewedRegion("own", "dog", PLACE))])
    assert outcomes(ledger) == {"a1": "edited", "a2": "rejected", "b1": "pending"}
    edited, rejected, _ = ledger.boxes()
    assert (edited.reviewer, edited.seconds) == ("ann@example.com", 4.0)
    assert (edited.final_category, edited.final_right) == ("cat", 60.0)
    assert (rejected.final_category, rejected.final_left) == (None, None)
    counts = ledger.counts()
    assert (counts.accepted, counts.edited, counts.rejected, counts.pending) == (0, 1, 1, 1)
    assert counts.by_category == {
        "cat": {"accepted": 0, "edited": 1, "rejected": 0, "pending": 1},
        "dog": {"accepted": 0, "edited": 0, "rejected": 1, "pending": 0},
    }


def test_a_box_that_nobody_was_shown_is_not_rejected(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED, DATASET)
    (push,) = ledger.pushes()
    ledger.record_review(push, [review(ReviewedRegion("a1", "cat", PLACE), shown="a1")])
    assert outcomes(ledger) == {"a1": "accepted", "a2": "pending", "b1": "pending"}


def test_several_reviews_of_an_image_each_judge_what_they_were_shown(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED, DATASET)
    (push,) = ledger.pushes()
    reviews = [
        review(ReviewedRegion("a1", "cat", PLACE), shown="a1"),
        review(shown="a2", reviewer="bob@example.com"),
    ]
    ledger.record_review(push, reviews)
    assert outcomes(ledger) == {"a1": "accepted", "a2": "rejected", "b1": "pending"}
    assert [box.reviewer for box in ledger.boxes()] == ["ann@example.com", "bob@example.com", None]


def test_a_withdrawn_review_withdraws_its_outcomes(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED, DATASET)
    (push,) = ledger.pushes()
    ledger.record_review(push, [review()])
    assert outcomes(ledger)["a1"] == "rejected"
    ledger.record_review(push, [])
    assert set(outcomes(ledger).values()) == {"pending"}
    assert all(box.reviewer is None for box in ledger.boxes())


def test_a_rejection_outlives_the_tools_memory_of_what_was_shown(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED, DATASET)
    (push,) = ledger.pushes()
    ledger.record_review(push, [review()])
    ledger.record_review(push, [review(shown="")])
    assert outcomes(ledger) == {"a1": "rejected", "a2": "rejected", "b1": "pending"}


def test_it_is_a_file(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED, DATASET)
    ledger.close()
    again = Ledger(ledger.path, must_exist=True)
    assert len(again.boxes()) == 3
    again.close()


def test_images_that_the_tool_does_not_know_are_refused(ledger: Ledger) -> None:
    unknown = Dataset((Image(1, "a.jpg", 100, 100),), (), DATASET.categories)
    with pytest.raises(SparseDetError, match=r"image id 1 \(a.jpg\) has no tool_id"):
        ledger.record_push(new_push(), MINED[:1], unknown)
    assert ledger.pushes() == []


def test_a_missing_or_foreign_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SparseDetError, match="no ledger here; `sparsedet push` makes it"):
        Ledger(tmp_path / "none.sqlite", must_exist=True)
    foreign = tmp_path / "notes.txt"
    foreign.write_text("not a database, but long enough to be taken for a broken one\n" * 20)
    with pytest.raises(SparseDetError, match=r"notes.txt: not a ledger"):
        Ledger(foreign)
