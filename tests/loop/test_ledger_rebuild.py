"""Rebuilding a lost ledger from the files of the rounds."""

import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import file_digest, write_coco
from sparsedet.annotations.mined_boxes import MinedBox, write_mined
from sparsedet.atomic_io import write_json
from sparsedet.errors import SparseDetError
from sparsedet.ledger import Ledger, Place, QueuedImage, QueueEntry, written_to_json
from sparsedet.loop.ledger_rebuild import rebuild
from sparsedet.loop.settings import Settings
from sparsedet.loop.workspace import Workspace
from sparsedet.push_modes import PlaceReviews
from sparsedet.reviews import Written
from tests.ledger.builders import (
    MINED,
    SPOT,
    dataset,
    drafts,
    in_source,
    kept,
    new_push,
    outcomes,
    review,
)

PLACE = new_push().place
SETTINGS = Settings.model_validate(
    {"source": {"tool": PLACE.tool, "url": PLACE.url, "project": PLACE.project}}
)
LATER = [MinedBox("c1", 2, 1, (60.0, 60.0, 90.0, 90.0), 0.9, 0.5)]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two rounds whose boxes went to a review project, and no ledger."""
    workspace = Workspace(tmp_path / "work")
    add_round(workspace, 1, MINED, place=PLACE)
    add_round(workspace, 2, LATER, place=PLACE)
    return workspace


def add_round(
    workspace: Workspace, number: int, mined: Sequence[MinedBox], place: Place | None, **more: Any
) -> None:
    """Write what a round leaves; without a place as older rounds did."""
    folder = workspace.round(number)
    write_coco(dataset(f"v{number}"), folder.annotations)
    write_mined(mined, {}, folder.mined)
    record = {
        "mined": len(mined),
        "boxes": len(mined),
        "images": 2,
        "url": "http://localhost:8080/projects/8",
        "review_project": "8",
        "model_version": f"run-{number}",
        "skipped": {},
    }
    if place is not None:
        at = {name: getattr(place, name) for name in Place.__slots__}
        record |= {"place": at, "review_project": place.review_project}
    write_json(folder.push, record | more)


def add_merge(
    workspace: Workspace, number: int, merge: str, tool_id: str, written: Any, **more: Any
) -> Path:
    path = workspace.round(number).root / "merged" / merge / f"{tool_id}.json"
    record = {
        "tool_id": tool_id,
        "source": {"tool": PLACE.tool, "url": PLACE.url, "project": PLACE.project},
        "before": {},
        "written_before": written_to_json(Written()),
        "written": written and written_to_json(written),
        "version": written and "v9",
    }
    write_json(path, record | more)
    return path


def test_every_round_is_recorded_again(workspace: Workspace) -> None:
    line = rebuild(workspace, SETTINGS)
    assert line == (
        f"{workspace.ledger} was missing or empty; rebuilt from 2 rounds: 4 mined boxes; "
        "outcomes are read from their reviews"
    )
    with closing(Ledger(workspace.ledger)) as ledger:
        first, second = ledger.pushes()
        assert [(push.round, push.model_version) for push in (first, second)] == [
            (1, "run-1"),
            (2, "run-2"),
        ]
        assert ledger.places() == [PLACE]
        assert {box.region_id: (box.round, box.source_version) for box in ledger.boxes()} == {
            "a1": (1, "v1"),
            "a2": (1, "v1"),
            "b1": (1, "v1"),
            "c1": (2, "v2"),
        }
        assert set(outcomes(ledger).values()) == {"pending"}
        assert ledger.boxes()[0].xyxy == pytest.approx(SPOT)
    assert rebuild(workspace, SETTINGS) is None


def test_it_is_as_if_it_had_never_been_lost(workspace: Workspace, tmp_path: Path) -> None:
    rebuild(workspace, SETTINGS)
    found = PlaceReviews(
        [review(kept("a1")), review(shown="b1 c1", tool_id="12")], frozenset({"12"})
    )
    with (
        closing(Ledger(workspace.ledger)) as rebuilt,
        closing(Ledger(tmp_path / "kept.sqlite")) as never_lost,
    ):
        for number, mined in ((1, MINED), (2, LATER)):
            push = new_push(f"run-{number}", round=number)
            never_lost.record_push(push, mined, dataset(f"v{number}"))
        for ledger in (rebuilt, never_lost):
            ledger.record_reviews(PLACE, found)
        assert rebuilt.pushed_images(PLACE) == never_lost.pushed_images(PLACE)
        assert rebuilt.image_reviews(PLACE.source) == never_lost.image_reviews(PLACE.source)
        assert rebuilt.rounds() == never_lost.rounds()
        assert outcomes(rebuilt) == {
            "a1": "accepted",
            "a2": "rejected",
            "b1": "rejected",
            "c1": "rejected",
        }


QUEUE = [
    {"image_tool_id": "12", "audit": True, "expected": 1.5, "boxes": 0, "seconds": 9.0}
    | {"file_name": "b.jpg", "width": 100, "height": 100},
    {"image_tool_id": "11", "audit": False, "expected": 2.0, "boxes": 2, "seconds": 12.5}
    | {"file_name": "a.jpg", "width": 100, "height": 100, "judge_only": True},
]
"""The first image is as older rounds have it."""


def test_the_queue_of_a_round_is_recorded_again(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    add_round(workspace, 1, MINED, PLACE, queue=QUEUE)
    workspace.images.mkdir()
    (workspace.images / "b.jpg").write_bytes(b"pixels")
    rebuild(workspace, SETTINGS)
    with (
        closing(Ledger(workspace.ledger)) as rebuilt,
        closing(Ledger(tmp_path / "kept.sqlite")) as never_lost,
    ):
        queue = [
            QueueEntry(2, True, 1.5, 0, 9.0),
            QueueEntry(1, False, 2.0, 2, 12.5, judge_only=True),
        ]
        never_lost.record_push(new_push(round=1), MINED, dataset(), queue=queue)
        assert _rows(rebuilt) == _rows(never_lost)
        # Mined boxes of an audit image were never shown.
        assert set(outcomes(rebuilt)) == {"a1", "a2"}
        assert rebuilt.pushed_images(PLACE) == never_lost.pushed_images(PLACE)
        assert rebuilt.digests().keys() == {"12"}


def test_boxes_on_images_that_the_budget_left_out_were_never_up(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    queue = [QUEUE[1] | {"image_tool_id": "12", "file_name": "b.jpg", "boxes": 1}]
    add_round(workspace, 1, MINED, PLACE, queue=queue)
    rebuild(workspace, SETTINGS)
    with closing(Ledger(workspace.ledger)) as ledger:
        on_it = {box.region_id for box in MINED if box.image_id == 2}
        assert set(outcomes(ledger)) == on_it != {box.region_id for box in MINED}


def _rows(ledger: Ledger) -> list[dict[str, Any]]:
    """Everything that is known of the queued images."""
    names = [column.name for column in QueuedImage.__table__.columns]
    return [{name: getattr(row, name) for name in names} for row in ledger.queued()]


def test_an_image_that_got_another_id_while_it_was_pushed_is_in_the_queue(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    imported_again = QUEUE[0] | {"image_tool_id": "32", "width": 640, "height": 480}
    add_round(workspace, 1, [], PLACE, queue=[imported_again, QUEUE[1]])
    rebuild(workspace, SETTINGS)
    with closing(Ledger(workspace.ledger)) as ledger:
        assert [(row.image_tool_id, row.size) for row in ledger.queued()] == [
            ("32", (640, 480)),
            ("11", (100, 100)),
        ]


@pytest.mark.parametrize("queue", [5, ["12"], [{"image_tool_id": "12"}]])
def test_a_broken_queue_is_said(queue: Any, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    add_round(workspace, 1, MINED, PLACE, queue=queue)
    line = rebuild(workspace, SETTINGS)
    assert line is not None
    assert f"round 1 is missing ({workspace.round(1).push}: invalid queue (" in line


def test_rounds_began_when_their_boxes_were_pushed(workspace: Workspace) -> None:
    for number, day in ((1, 1), (2, 10)):
        saved = datetime(2026, 5, day, tzinfo=UTC).timestamp()
        os.utime(workspace.round(number).push, (saved, saved))
    rebuild(workspace, SETTINGS)
    # One review of image 12 between the pushes, one after both.
    reviews = [review(tool_id="12", shown="", day=day) for day in (5, 15)]
    with closing(Ledger(workspace.ledger)) as ledger:
        ledger.record_reviews(PLACE, PlaceReviews(reviews))
        assert [work.round for work in ledger.review_work()] == [1, 2]


def test_an_empty_ledger_is_a_lost_one(workspace: Workspace) -> None:
    Ledger(workspace.ledger).close()
    assert rebuild(workspace, SETTINGS) is not None
    workspace.ledger.write_bytes(b"")
    assert rebuild(workspace, SETTINGS) is not None
    with closing(Ledger(workspace.ledger)) as ledger:
        assert len(ledger.boxes()) == 4


@pytest.mark.parametrize("kind", ["folder", "garbage", "database"])
def test_something_else_in_its_place_is_to_be_moved_away(kind: str, workspace: Workspace) -> None:
    path = workspace.ledger
    if kind == "folder":
        path.mkdir()
    elif kind == "garbage":
        path.write_bytes(b"x" * 5000)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE other (id INTEGER)")
    for _ in range(2):
        with pytest.raises(SparseDetError) as refused:
            rebuild(workspace, SETTINGS)
        message = str(refused.value)
        assert message.startswith(f"{path}: ")
        assert "not a ledger" in message
        assert "move it away and run `sparsedet review` to rebuild" in message
        assert "\n" not in message
    assert {entry.name for entry in workspace.root.iterdir()} == {path.name, "rounds"}
    path.rename(workspace.root / "moved")
    assert rebuild(workspace, SETTINGS) is not None
    with closing(Ledger(path)) as ledger:
        assert len(ledger.boxes()) == 4


def test_a_ledger_that_is_there_is_left_alone(workspace: Workspace) -> None:
    with closing(Ledger(workspace.ledger)) as ledger:
        ledger.record_push(new_push(), MINED[:1], dataset())
    before = workspace.ledger.read_bytes()
    assert rebuild(workspace, SETTINGS) is None
    assert workspace.ledger.read_bytes() == before


def test_without_pushes_there_is_nothing_to_do(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert rebuild(workspace, SETTINGS) is None
    write_json(workspace.round(1).push, {"mined": 0, "boxes": 0, "url": None})
    assert rebuild(workspace, SETTINGS) is None
    assert not workspace.ledger.exists()


def test_older_rounds_do_not_say_where_boxes_went(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    draft = Settings.model_validate(SETTINGS.model_dump() | {"review": {"mode": "draft"}})
    add_round(workspace, 1, MINED, place=None)
    add_round(workspace, 2, LATER, place=None, review_project="7")
    rebuild(workspace, draft)
    with closing(Ledger(workspace.ledger)) as ledger:
        assert ledger.places() == [PLACE, drafts().place]


def test_what_was_skipped_or_withdrawn_is_known(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    add_round(workspace, 1, MINED, PLACE, skipped={"12": "somebody else's draft"})
    add_round(workspace, 2, LATER, PLACE, withdrawn=["a1"])
    rebuild(workspace, SETTINGS)
    with closing(Ledger(workspace.ledger)) as ledger:
        assert outcomes(ledger) == {"a1": "withdrawn", "a2": "pending", "c1": "pending"}


def test_images_are_known_by_their_content(workspace: Workspace) -> None:
    workspace.images.mkdir()
    (workspace.images / "a.jpg").write_bytes(b"pixels")
    rebuild(workspace, SETTINGS)
    with closing(Ledger(workspace.ledger)) as ledger:
        digest = file_digest(workspace.images / "a.jpg")
        assert ledger.digests() == {"11": (digest, (100, 100))}


def test_what_merges_wrote_is_known(workspace: Workspace) -> None:
    first = Written({"a1": kept("a1")})
    last = Written({"a1": kept("a1"), "a2": None}, complete=True)
    add_merge(workspace, 1, "001", "11", first)
    add_merge(workspace, 2, "001", "11", last)
    add_merge(workspace, 2, "001", "12", None)  # cut off before it was written
    line = rebuild(workspace, SETTINGS)
    assert line is not None
    assert "4 mined boxes, 1 merged image; outcomes" in line
    with closing(Ledger(workspace.ledger)) as ledger:
        written = {image.tool_id: image.written for image in ledger.pushed_images(PLACE)}
        assert written == {"11": last, "12": Written()}
        ledger.record_reviews(PLACE, PlaceReviews([review(kept("a1"))]))
        assert in_source(ledger) == {"a1", "a2"}


def test_a_merge_that_was_taken_back_is_none(workspace: Workspace) -> None:
    first = Written({"a1": kept("a1")})
    add_merge(workspace, 1, "001", "11", first)
    both = Written({"a1": kept("a1"), "a2": None})
    add_merge(workspace, 2, "001.undone", "11", both, written_before=written_to_json(first))
    rebuild(workspace, SETTINGS)
    with closing(Ledger(workspace.ledger)) as ledger:
        assert ledger.pushed_images(PLACE)[0].written == first


def test_what_can_not_be_read_is_said_and_left_out(workspace: Workspace) -> None:
    workspace.round(1).annotations.unlink()
    broken = add_merge(workspace, 2, "001", "11", Written({"a1": kept("a1")}))
    broken.write_text(json.dumps({"tool_id": "11", "written": []}))
    line = rebuild(workspace, SETTINGS)
    assert line is not None
    assert "rebuilt from 1 round: 1 mined box;" in line
    assert f"round 1 is missing ({workspace.round(1).annotations}: no such file" in line
    assert f"a merge is missing ({broken}: " in line
    with closing(Ledger(workspace.ledger)) as ledger:
        assert set(outcomes(ledger)) == {"c1"}


def test_a_journal_of_the_lost_file_is_not_applied_to_the_new_one(workspace: Workspace) -> None:
    """A process was killed while it wrote, and the user moved the ledger away."""
    journal = workspace.root / "ledger.sqlite-journal"
    journal.write_bytes(b"the state before an interrupted transaction")
    assert rebuild(workspace, SETTINGS)
    assert not journal.exists()
