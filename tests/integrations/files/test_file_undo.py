"""Withdrawing what is up for review, and its ownership."""

from dataclasses import replace
from pathlib import Path

import pytest

from sparsedet.annotations import read_coco
from sparsedet.errors import ToolError
from sparsedet.push_modes import ToReview, UndoReport
from tests.integrations.files.conftest import Pulled
from tests.integrations.files.samples import mined_boxes, read, strip, write
from tests.integrations.files.up_for_review import ALL, DAY, NEWER, NIGHT, owned, snapshot, up


def test_undo_takes_back_what_nobody_reviewed(pulled: Pulled) -> None:
    pulled.push()
    day = next(r for r in pulled.tool.open_reviews("cars/review") if r.tool_id == DAY)
    day.submit(day.regions)
    before = snapshot(pulled.folder)
    mode = pulled.memory.mode
    planned = mode.undo("cars", "cars/review", ALL, dry_run=True)
    assert snapshot(pulled.folder) == before
    assert planned == mode.undo("cars", "cars/review", ALL)
    assert planned == UndoReport(
        tasks=1,
        region_ids=frozenset({"near"}),
        kept={DAY: f"{pulled.version() / 'reviewed.json'} holds a review of it"},
    )
    assert up(pulled) == {DAY: {"good", "wrong"}}
    assert set(pulled.memory.reviews()) == {DAY}
    assert mode.undo("cars", "cars/review", ALL) == replace(
        planned, tasks=0, region_ids=frozenset()
    )
    # It can be pushed again.
    assert pulled.push().created == 1
    assert up(pulled) == {DAY: {"good", "wrong"}, NIGHT: {"near"}}


def test_undo_removes_an_untouched_version(pulled: Pulled) -> None:
    pulled.push()
    pulled.memory.push(pulled.dataset, NEWER, "run-2", ALL)
    mode = pulled.memory.mode
    report = mode.undo("cars", "cars/review", frozenset(box.region_id for box in NEWER))
    assert (report.tasks, report.region_ids) == (2, frozenset({"new-day", "new-night"}))
    # The older one may be open in another tool: it stays readable.
    assert [path.name for path in (pulled.folder / "review").iterdir()] == ["run-1"]
    assert pulled.memory.read().waiting == frozenset()
    pulled.push("run-3")
    assert pulled.memory.read().waiting == {DAY, NIGHT}
    (pulled.version("run-3") / "notes.txt").write_text("mine", encoding="utf-8")
    mode.undo("cars", "cars/review", ALL)
    assert up(pulled, "run-3") == {}
    assert (pulled.version("run-3") / "notes.txt").exists()


def test_an_undo_that_was_killed_half_way_leaves_nothing(pulled: Pulled) -> None:
    pulled.push()
    (pulled.version() / ".withdrawn.json.999999999.tmp").write_text("{", encoding="utf-8")
    pulled.memory.mode.undo("cars", "cars/review", ALL)
    assert not pulled.version().exists()


def test_undo_of_some_boxes_of_an_image(pulled: Pulled) -> None:
    pulled.push()
    theirs = read(pulled.version() / "to_review.json")
    report = pulled.memory.mode.undo("cars", "cars/review", frozenset({"wrong"}))
    assert (report.tasks, report.predictions, report.region_ids) == (0, 1, frozenset({"wrong"}))
    assert up(pulled) == {DAY: {"good"}, NIGHT: {"near"}}
    # Who was not shown the box can't have rejected it; who was and kept it has accepted it.
    review = read(pulled.version() / "to_review.json")
    write(pulled.version() / "reviewed.json", review)
    (day,) = pulled.memory.reviews()[DAY]
    assert set(day.shown) == {"11", "left", "good"}
    write(pulled.version() / "reviewed.json", strip(theirs))
    (day,) = pulled.memory.reviews()[DAY]
    assert set(day.shown) == {"11", "left", "good", "wrong"}
    assert pulled.memory.verdicts()[DAY].decisions["wrong"].origin == "accepted"


def test_a_killed_withdrawal_is_made_up_for(
    pulled: Pulled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the machine stops between `withdrawn.json` and `to_review.json`."""
    pulled.push()
    real = Path.replace

    def stop(self: Path, target: Path) -> Path:
        if target.name == "to_review.json":
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        pulled.memory.mode.undo("cars", "cars/review", frozenset({"near"}))
    monkeypatch.undo()
    assert (pulled.version() / "withdrawn.json").exists()
    assert pulled.memory.read().waiting == {DAY, NIGHT}
    report = pulled.memory.mode.undo("cars", "cars/review", frozenset({"near"}))
    assert (report.tasks, report.region_ids) == (1, frozenset({"near"}))
    withdrawn = read_coco(pulled.version() / "withdrawn.json")
    assert [image.file_name for image in withdrawn.images] == [NIGHT]


def test_two_workspaces_on_one_project(pulled: Pulled) -> None:
    ann, bob = owned(pulled, "/home/ann/loop"), owned(pulled, "/home/bob/loop")
    ann.prepare("cars")
    ann.prepare("cars")
    boxes = mined_boxes(pulled.dataset)
    ann.push("cars", ToReview(pulled.dataset, boxes, "run-1"))
    message = r"cars: the workspace /home/ann/loop pushes to it .*sparsedet\.json"
    with pytest.raises(ToolError, match=message):
        bob.prepare("cars")
    with pytest.raises(ToolError, match=message):
        bob.push("cars", ToReview(pulled.dataset, NEWER, "run-2"))
    # Without an owner, marks are neither set nor respected.
    pulled.memory.mode.prepare("cars")
    assert up(pulled) == {DAY: {"good", "wrong"}, NIGHT: {"near"}}
    bob.prepare("cars", take_over=True)
    assert up(pulled) == {}
    bob.push("cars", ToReview(pulled.dataset, NEWER, "run-2"))
    with pytest.raises(ToolError, match="the workspace /home/bob/loop pushes to it"):
        ann.push("cars", ToReview(pulled.dataset, boxes, "run-1"))
    assert read(pulled.folder / "review" / "sparsedet.json") == {"workspace": "/home/bob/loop"}


def test_a_push_marks_the_project(pulled: Pulled) -> None:
    mode = owned(pulled, "/home/ann/loop")
    boxes = mined_boxes(pulled.dataset)
    mode.push("cars", ToReview(pulled.dataset, boxes, "run-1"), dry_run=True)
    assert not (pulled.folder / "review").exists()
    mode.push("cars", ToReview(pulled.dataset, boxes, "run-1"))
    with pytest.raises(ToolError, match="pushes to it"):
        owned(pulled, "/home/bob/loop").prepare("cars")


@pytest.mark.parametrize(
    "place",
    ["review", "review/run-1", "review/run-1/to_review.json", "review/run-1/reviewed.json"],
)
def test_a_review_folder_is_no_source(pulled: Pulled, place: str) -> None:
    pulled.push()
    content = read(pulled.version() / "to_review.json")
    write(pulled.version() / "reviewed.json", content)
    for refused in (pulled.tool.summary, lambda name: pulled.tool.pull(name, pulled.images)):
        with pytest.raises(ToolError, match=f"are up for review; .* is {pulled.folder}$"):
            refused(f"cars/{place}")
