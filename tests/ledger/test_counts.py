"""Outcomes, precision and time of the ledger and of each round, and the ledger as a CSV file."""

import csv
from dataclasses import replace
from pathlib import Path

from sparsedet.annotations import Category, Dataset, Image
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.ledger import Ledger, OutcomeCounts
from sparsedet.ledger.export import BOX_COLUMNS, LATER_COLUMNS, PUSH_COLUMNS, write_csv
from sparsedet.ledger.schema import LedgerBox, Push
from sparsedet.tool import OUTCOMES
from tests.ledger.builders import MINED, SPOT, dataset, kept, new_push, read, review

PLACE = new_push().place


def test_outcomes_are_counted_by_category(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED, dataset())
    ledger.record_reviews(PLACE, read(review(kept("a1", "dog"))))
    counts = ledger.counts()
    none = dict.fromkeys((*OUTCOMES, "drawn"), 0)
    assert counts == OutcomeCounts(
        accepted=0,
        edited=1,
        rejected=1,
        pending=1,
        by_category={
            "cat": none | {"edited": 1, "pending": 1},
            "dog": none | {"rejected": 1},
        },
    )
    assert (counts.total, counts.judged, counts.precision) == (3, 2, 0.5)
    assert {name: c.precision for name, c in counts.categories().items()} == {"cat": 1, "dog": 0}


def test_without_a_judged_box_there_is_no_precision(ledger: Ledger) -> None:
    assert ledger.counts() == OutcomeCounts()
    assert ledger.rounds() == []
    ledger.record_push(new_push(), MINED, dataset())
    assert ledger.counts().precision is None


def test_withdrawn_boxes_are_counted_and_not_judged(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED, dataset())
    assert ledger.withdraw(["b1", "nobody's"]) == 1
    ledger.record_reviews(PLACE, read(review(kept("a1"))))
    counts = ledger.counts()
    assert (counts.withdrawn, counts.pending, counts.total) == (1, 0, 3)
    assert counts.precision == 0.5
    assert counts.by_category["cat"]["withdrawn"] == 1


def test_rounds_are_counted_apart(ledger: Ledger) -> None:
    ledger.record_push(new_push("run-0"), MINED[:1], dataset())
    ledger.record_push(new_push("run-2", round=2), MINED[1:2], dataset())
    ledger.record_push(new_push("run-1", round=1), MINED[2:], dataset())
    ledger.record_reviews(PLACE, read(review(kept("b1"), shown="b1", tool_id="12")))
    rounds = ledger.rounds()
    assert [(entry.round, entry.outcomes.total) for entry in rounds] == [(1, 1), (2, 1), (None, 1)]
    assert [entry.precision for entry in rounds] == [1.0, None, None]
    assert [entry.reviewed_images for entry in rounds] == [1, 0, 0]


def test_the_time_of_an_image_counts_once_for_each_reviewer(ledger: Ledger) -> None:
    ledger.record_push(new_push(round=1), MINED, dataset())
    ledger.record_push(
        new_push("run-2", round=2), [MinedBox("c1", 1, 1, SPOT, 0.6, 0.5)], dataset()
    )
    reviews = [
        review(kept("a1"), shown="a1 a2", seconds=4.0),
        review(kept("b1"), shown="b1", tool_id="12", seconds=7.5),
    ]
    ledger.record_reviews(PLACE, read(*reviews))
    first, second = ledger.rounds()
    assert (first.reviewed_images, first.seconds) == (2, 11.5)
    assert (second.reviewed_images, second.seconds) == (0, 0.0)


def test_an_image_whose_boxes_are_all_undecided_took_time(ledger: Ledger) -> None:
    ledger.record_push(new_push(round=1), MINED, dataset())
    undecided = review(kept("b1", unsure=True), shown="b1", tool_id="12", seconds=3.0)
    ledger.record_reviews(PLACE, read(undecided))
    (counts,) = ledger.rounds()
    assert (counts.reviewed_images, counts.seconds, counts.precision) == (1, 3.0, None)


def test_reviews_without_a_measured_time_are_reviews(ledger: Ledger) -> None:
    ledger.record_push(new_push(round=1), MINED, dataset())
    ledger.record_reviews(PLACE, read(review(reviewer=None, seconds=None)))
    (counts,) = ledger.rounds()
    assert (counts.reviewed_images, counts.seconds) == (1, 0.0)


def test_a_review_of_boxes_of_two_rounds_counts_once(ledger: Ledger) -> None:
    ledger.record_push(new_push(round=1), MINED[:1], dataset())
    ledger.record_push(new_push("run-2", round=2), MINED[:2], dataset())
    both = review(kept("a1"), kept("a2", "dog"), shown="a1 a2", seconds=100.0)
    ledger.record_reviews(PLACE, read(both))
    first, second = ledger.rounds()
    assert (first.seconds, second.seconds) == (0.0, 100.0)
    assert (first.reviewed_images, second.reviewed_images) == (0, 1)


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_column_of_every_box(ledger: Ledger, tmp_path: Path) -> None:
    ledger.record_push(
        new_push(round=2), [replace(MINED[0], expected_precision=0.8125), *MINED[1:]], dataset()
    )
    ledger.record_reviews(PLACE, read(review(kept("a1", "dog"))))
    path = tmp_path / "boxes.csv"
    assert write_csv(ledger.boxes(), path) == 3
    edited, rejected, pending = _read(path)
    assert edited == {
        "region_id": "a1", "round": "2", "image_tool_id": "11", "file_name": "a.jpg",
        "category": "cat", "left": "10.0", "top": "10.0", "right": "50.0", "bottom": "50.0",
        "score": "0.9", "threshold": "0.5", "source_version": "v1", "outcome": "edited",
        "final_category": "dog", "final_left": "10.0", "final_top": "10.0", "final_right": "50.0",
        "final_bottom": "50.0", "reviewer": "ann@example.com", "review_id": "11-1",
        "seconds": "4.0", "in_source": "0",
        "tool": "label-studio", "url": "http://localhost:8080", "project": "7",
        "review_project": "8", "mode": "review-project", "model_version": "run-1",
        "image_width": "100", "image_height": "100", "expected_precision": "0.8125",
    }  # fmt: skip
    assert (rejected["outcome"], rejected["final_left"]) == ("rejected", "")
    assert (pending["outcome"], pending["seconds"]) == ("pending", "")
    assert pending["expected_precision"] == ""
    assert path.read_bytes().count(b"\r\n") == 4


def test_no_column_is_forgotten() -> None:
    boxes = set(LedgerBox.__table__.columns.keys())
    assert {*BOX_COLUMNS, *LATER_COLUMNS, "push_id"} == boxes
    pushes = set(Push.__table__.columns.keys())
    assert {*PUSH_COLUMNS, "id", "round", "created_at", "gone"} == pushes


def test_names_from_a_server_are_no_formulas(ledger: Ledger, tmp_path: Path) -> None:
    name = '=HYPERLINK("http://x", "a,b")\n.jpg'
    pulled = Dataset(
        (Image(1, name, 100, 100, tool_id="-11"), Image(2, "ü.jpg", 100, 100, tool_id="+12")),
        (),
        (Category(1, "@SUM(A1)"), Category(2, "\tdog")),
    )
    ledger.record_push(new_push(), MINED, pulled)
    path = tmp_path / "boxes.csv"
    write_csv(ledger.boxes(), path)
    rows = _read(path)
    assert [row["file_name"] for row in rows] == [f"'{name}", f"'{name}", "ü.jpg"]
    assert [row["image_tool_id"] for row in rows] == ["'-11", "'-11", "'+12"]
    assert [row["category"] for row in rows] == ["'@SUM(A1)", "'\tdog", "'@SUM(A1)"]
