"""Which mined boxes a round put up, by its files: in every mode, with and without a queue."""

from pathlib import Path
from typing import Any

import pytest

from sparsedet.atomic_io import write_json
from sparsedet.loop.lot_file import RoundLot, write_lots
from sparsedet.loop.pushed_boxes import pushed_boxes
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.workspace import Workspace
from sparsedet.sheets import Sheet
from sparsedet.sheets.layout import Crop
from tests.ledger.builders import MINED, SPOT, dataset

QUEUE = [{"image_tool_id": "11", "audit": False}, {"image_tool_id": "12", "audit": True}]


@pytest.fixture
def folder(tmp_path: Path) -> RoundFolder:
    """A round that mined `MINED`, with candidates as all rounds have them now."""
    folder = Workspace(tmp_path).round(1)
    write_json(folder.candidates, {})
    return folder


def push(mode: str, **more: Any) -> dict[str, Any]:
    return {"place": {"mode": mode}, **more}


def put_on_a_sheet(folder: RoundFolder, *region_ids: str) -> None:
    crops = tuple(Crop(id, "11", (100, 100), SPOT, SPOT) for id in region_ids)
    write_json(folder.sheets, {"sheets": [Sheet("s", "cat", (100, 100), crops).to_json()]})


def pushed(folder: RoundFolder, record: dict[str, Any]) -> dict[str | None, str]:
    """Mode -> the region ids that it put up."""
    parts = pushed_boxes(folder, record, dataset(), MINED)
    return {
        part.get("place", {}).get("mode"): " ".join(box.region_id for box in boxes)
        for part, boxes in parts
    }


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (push("review-project", queue=QUEUE), "a1 a2"),
        (push("review-project", queue=QUEUE, left_out=["a2"]), "a1"),
        (push("review-project", queue=QUEUE, skipped={"11": "no such task"}), ""),
        (push("review-project", queue=[]), ""),
        (push("draft", queue=[]), "a1 a2 b1"),
        (push("draft", queue=[], skipped={"11": "no such task"}), "b1"),
    ],
)
def test_boxes_are_up_on_the_images_that_were_queued(
    folder: RoundFolder, record: dict[str, Any], expected: str
) -> None:
    assert list(pushed(folder, record).values()) == [expected]


def test_older_rounds_show_all_their_boxes(folder: RoundFolder) -> None:
    folder.candidates.unlink()
    assert pushed(folder, {}) == {None: "a1 a2 b1"}


def test_boxes_on_sheets_are_not_on_their_images(folder: RoundFolder) -> None:
    put_on_a_sheet(folder, "a2", "b1")
    record = push("review-project", queue=QUEUE, sheets=push("sheets"))
    assert pushed(folder, record) == {"review-project": "a1", "sheets": "a2 b1"}


def test_boxes_that_no_sheet_can_show_are_on_their_images(folder: RoundFolder) -> None:
    put_on_a_sheet(folder, "a2")
    record = push("sheets", queue=[], left_out=["a1"]) | {"review-project": push("review-project")}
    assert pushed(folder, record) == {"sheets": "a2", "review-project": "b1"}


def test_a_round_that_pushed_only_sheets_shows_nothing_else(
    folder: RoundFolder,
) -> None:
    """The queue is empty if sheets show all that is worth judging."""
    put_on_a_sheet(folder, "a2")
    assert pushed(folder, push("sheets", queue=[])) == {"sheets": "a2"}


def test_boxes_held_by_a_lot_are_up_nowhere(folder: RoundFolder) -> None:
    write_lots([RoundLot("1-1", "cat", 0.9, ("a1", "a2"), ("a1",), 0)], folder)
    assert pushed(folder, push("review-project", queue=QUEUE)) == {"review-project": "a1"}
