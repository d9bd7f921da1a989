"""The ledger as a CSV file."""

import csv
from pathlib import Path

from sparsedet.annotations import Category, Dataset, Image
from sparsedet.ledger import Ledger
from sparsedet.ledger.export import BOX_COLUMNS, PUSH_COLUMNS, write_csv
from sparsedet.ledger.tables import LedgerBox, Push
from tests.ledger.builders import MINED, dataset, kept, new_push, review


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_column_of_every_box(ledger: Ledger, tmp_path: Path) -> None:
    ledger.record_push(new_push(round=2), MINED, dataset())
    ledger.record_reviews(new_push().place, [review(kept("a1", "dog"))])
    path = tmp_path / "boxes.csv"
    assert write_csv(ledger.boxes(), path) == 3
    edited, rejected, pending = _read(path)
    assert edited == {
        "region_id": "a1", "round": "2", "image_tool_id": "11", "file_name": "a.jpg",
        "category": "cat", "left": "10.0", "top": "10.0", "right": "50.0", "bottom": "50.0",
        "score": "0.9", "threshold": "0.5", "source_version": "v1", "outcome": "edited",
        "final_category": "dog", "final_left": "10.0", "final_top": "10.0", "final_right": "50.0",
        "final_bottom": "50.0", "reviewer": "ann@example.com", "review_id": "", "seconds": "4.0",
        "in_source": "0",
        "tool": "label-studio", "url": "http://localhost:8080", "project": "7",
        "review_project": "8", "mode": "review-project", "model_version": "run-1",
    }  # fmt: skip
    assert (rejected["outcome"], rejected["final_left"]) == ("rejected", "")
    assert (pending["outcome"], pending["seconds"]) == ("pending", "")
    assert path.read_bytes().count(b"\r\n") == 4


def test_no_column_is_forgotten() -> None:
    assert {*BOX_COLUMNS, "push_id"} == set(LedgerBox.__table__.columns.keys())
    pushes = set(Push.__table__.columns.keys())
    assert {*PUSH_COLUMNS, "id", "round", "created_at"} == pushes


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
