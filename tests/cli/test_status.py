"""`sparsedet status`: the rounds of a workspace in numbers."""

import csv
import json
from contextlib import closing
from pathlib import Path

import pytest

from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.ledger import Ledger
from sparsedet.loop.workspace import Workspace
from tests.cli.command import sparsedet
from tests.ledger.builders import MINED, SPOT, dataset, kept, new_push, review


def _round(root: Path, number: int, annotations: int, ap50: float | None = None) -> None:
    folder = root / "rounds" / f"{number:03d}"
    folder.mkdir(parents=True)
    content: dict[str, object] = {"images": [], "annotations": [{}] * annotations, "categories": []}
    (folder / "annotations.json").write_text(json.dumps(content))
    if ap50 is not None:
        (folder / "evaluation.json").write_text(json.dumps({"AP": 20.5, "AP50": ap50}))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two rounds in folders, the second not pushed yet, and boxes that were pushed by hand."""
    workspace = Workspace(tmp_path / "cells")
    _round(workspace.root, 1, 40, ap50=61.27)
    _round(workspace.root, 2, 42)
    with closing(Ledger(workspace.ledger)) as ledger:
        ledger.record_push(new_push(round=1), MINED, dataset())
        by_hand = [MinedBox("c1", 1, 1, SPOT, 0.9, 0.5)]
        ledger.record_push(new_push("run-x"), by_hand, dataset())
        reviews = [
            review(kept("a1"), shown="a1 a2", seconds=3600.0),
            review(kept("b1", "dog"), shown="b1", tool_id="12", seconds=125.4),
        ]
        ledger.record_reviews(new_push().place, reviews)
    return workspace


def test_rounds_and_classes_are_tables(workspace: Workspace) -> None:
    result = sparsedet("status", workspace.root)
    assert result.status == 0, result.err
    title, *rows = [line.split() for line in result.out.splitlines()]
    assert title[0] == "Rounds"
    headings = (
        "round annotations mined accepted edited rejected pending precision % review time AP50"
    )
    assert rows == [
        headings.split(),
        ["1", "40", "3", "1", "1", "1", "0", "66.7", "1:02:05", "61.3"],
        ["2", "42", "0", "0", "0", "0", "0", "-", "0:00:00", "-"],
        ["-", "-", "1", "0", "0", "0", "1", "-", "0:00:00", "-"],
        ["all", "4", "1", "1", "1", "1", "66.7", "1:02:05"],
        ["Mined", "boxes", "by", "class"],
        ["class", "mined", "accepted", "edited", "rejected", "pending", "precision", "%"],
        ["cat", "3", "1", "1", "0", "1", "100.0"],
        ["dog", "1", "0", "0", "1", "0", "0.0"],
    ]


def test_json_is_for_machines(workspace: Workspace) -> None:
    found = sparsedet("status", workspace.root, "--json").json()
    first, second, by_hand = found["rounds"]
    assert first == {
        "round": 1,
        "annotations": 40,
        **{"mined": 3, "accepted": 1, "edited": 1, "rejected": 1, "pending": 0},
        "precision": pytest.approx(2 / 3),
        "by_category": {
            "cat": {"mined": 2, "accepted": 1, "edited": 1, "rejected": 0, "pending": 0}
            | {"precision": 1.0},
            "dog": {"mined": 1, "accepted": 0, "edited": 0, "rejected": 1, "pending": 0}
            | {"precision": 0.0},
        },
        "reviewed_images": 2,
        "seconds": 3725.4,
        "AP50": 61.27,
        "next_step": "split",
    }
    assert (second["round"], second["precision"], second["AP50"]) == (2, None, None)
    assert (by_hand["round"], by_hand["annotations"], by_hand["mined"]) == (None, None, 1)
    assert (found["all"]["mined"], found["all"]["seconds"]) == (4, 3725.4)
    assert found["all"]["by_category"]["cat"]["pending"] == 1


def test_csv_has_a_row_for_every_mined_box(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "out" / "boxes.csv"
    result = sparsedet("status", "--csv", path, cwd=workspace.root)
    assert result.status == 0, result.err
    assert f"4 mined boxes written to {path}" in result.err
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["region_id"], row["round"], row["outcome"]) for row in rows] == [
        ("a1", "1", "accepted"),
        ("a2", "1", "rejected"),
        ("b1", "1", "edited"),
        ("c1", "", "pending"),
    ]


def test_before_the_first_push_there_are_rounds_and_no_ledger(tmp_path: Path) -> None:
    _round(tmp_path, 1, 7)
    (tmp_path / "rounds" / "002").mkdir()
    result = sparsedet("status", tmp_path)
    assert result.status == 0, result.err
    rows = [line.split() for line in result.out.splitlines()[2:]]
    assert [row[:3] for row in rows] == [["1", "7", "0"], ["2", "-", "0"], ["all", "0", "0"]]
    assert not Workspace(tmp_path).ledger.exists()
    refused = sparsedet("status", tmp_path, "--csv", tmp_path / "boxes.csv")
    assert "no ledger here" in refused.error()


def test_other_folders_and_broken_files_are_one_line(tmp_path: Path) -> None:
    assert "neither rounds nor a ledger here" in sparsedet("status", tmp_path).error()
    _round(tmp_path, 1, 7)
    evaluation = tmp_path / "rounds" / "001" / "evaluation.json"
    evaluation.write_text('{"AP50": "good"}')
    assert sparsedet("status", tmp_path).error() == (
        f"{evaluation}: AP50 is 'good', expected a number"
    )
    (tmp_path / "rounds" / "001" / "annotations.json").write_text("[]")
    assert "annotations.json: not a JSON object" in sparsedet("status", tmp_path).error()
