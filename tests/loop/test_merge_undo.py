"""Undone merges: what they restore, and what happens if they are killed."""

from contextlib import closing
from copy import copy
from pathlib import Path
from unittest.mock import Mock

import pytest

from sparsedet.errors import SparseDetError, ToolError
from sparsedet.integrations.files import FilesTool
from sparsedet.ledger import Ledger
from sparsedet.loop.merge_undo import UndoneMerge, mark_undo_reported, undo_merge
from sparsedet.loop.round_files import read_merged
from tests.loop.small_project import FREE, HUMAN, MINED, SmallProject, boxes_of, draw, without


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    project = SmallProject(tmp_path)
    project.push("v1")
    return project


def undo(project: SmallProject) -> UndoneMerge:
    undone = undo_unreported(project)
    mark_undo_reported(project.workspace)
    return undone


def undo_unreported(project: SmallProject) -> UndoneMerge:
    """Undo the newest merge, as if killed before its result was printed."""
    with closing(Ledger(project.workspace.ledger)) as ledger:
        return undo_merge(ledger, project.connections, project.workspace)


def test_a_merge_is_taken_back_where_nobody_has_saved_since(project: SmallProject) -> None:
    project.review("a.png", without("wrong"))
    project.review("b.png", without("own", "wrong"), complete=True)
    before = project.source_boxes()
    project.merge()
    assert project.source_boxes() != before
    project.edit_source("a.png", FREE)
    edited = project.source_boxes()
    undone = undo(project)
    assert undone.restored == (project.id_of("b.png"),)
    assert list(undone.left) == [project.id_of("a.png")]
    assert project.source_boxes() == {**before, "a.png": edited["a.png"]}
    # Taken back is not forgotten: the reviews are still there, and merge again.
    assert project.merge(write=False)[project.id_of("b.png")].outcome == "changed"


def test_a_merge_can_be_taken_back_once(project: SmallProject) -> None:
    project.review("a.png")
    before = project.tool.pull(project.project, project.folder / "cache")
    project.merge()
    assert undo(project).left == {}
    after = project.tool.pull(project.project, project.folder / "cache")
    assert after.boxes == before.boxes
    with pytest.raises(SparseDetError, match="no merge to undo"):
        undo(project)


def test_the_rest_of_a_merge_is_taken_back_later(project: SmallProject) -> None:
    """Also after the next round has begun."""
    project.review("a.png", without("wrong"))
    project.review("b.png")
    before = project.source_boxes()
    project.merge()
    merged = project.source_boxes()
    project.edit_source("a.png", FREE)
    assert undo(project).left
    project.edit_source("a.png", HUMAN)
    project.workspace.round(1).root.mkdir(parents=True)
    assert undo(project).left == {}
    assert merged != project.source_boxes() == before
    with pytest.raises(SparseDetError, match="no merge to undo"):
        undo(project)


@pytest.mark.parametrize("repeat", [False, True])
@pytest.mark.parametrize("step", ["keep", "write", "record", "ledger"])
def test_a_merge_that_was_killed_can_be_undone_or_repeated(
    project: SmallProject, step: str, repeat: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed just before a step of the first image."""
    project.review("a.png", without("wrong"))
    project.review("b.png")
    before = project.source_boxes()

    def kill(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    where = {
        "keep": ("sparsedet.loop.merging.image_file", kill),
        "write": ("sparsedet.integrations.files.coco_files.replace_unchanged", kill),
        "record": ("sparsedet.loop.merging.read_merged", kill),
        "ledger": ("sparsedet.loop.merging.Ledger.record_written", kill),
    }
    monkeypatch.setattr(*where[step])
    with pytest.raises(KeyboardInterrupt):
        project.merge()
    monkeypatch.undo()
    is_written = step in ("record", "ledger")
    records = [read_merged(path) for path in project.workspace.merged.glob("*/*.json")]
    # A ledger that is lost now is rebuilt from these.
    assert any(record["written"] for record in records) is (step == "ledger")
    assert (project.source_boxes() != before) is is_written
    if repeat:
        again = {one.outcome for one in project.merge().values()}
        assert again == {"same" if is_written else "changed"}
        assert project.source_boxes() != before
    if repeat or step != "keep":
        while list(project.workspace.merged.glob("[0-9][0-9][0-9]")):
            assert undo(project).left == {}
    assert project.source_boxes() == before
    assert {one.outcome for one in project.merge(write=False).values()} == {"changed"}


def test_reviews_survive_an_undo_that_was_killed(
    project: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.review("a.png", draw(FREE))
    project.review("b.png")
    before = project.source_boxes()
    project.merge()
    merged = project.source_boxes()
    project.edit_source("b.png", FREE)
    edited = project.source_boxes()
    with monkeypatch.context() as patched:
        # Killed right after the write.
        real = FilesTool.restore

        def kill(*arguments: object) -> None:
            real(*arguments)
            raise KeyboardInterrupt

        patched.setattr(FilesTool, "restore", kill)
        with pytest.raises(KeyboardInterrupt):
            undo(project)
    assert project.source_boxes() == {**edited, "a.png": before["a.png"]}
    # Nobody has removed what was merged: it counts, and can be merged again.
    assert boxes_of(project.pull().dataset)["a.png"] == merged["a.png"]
    assert project.merge(write=False)["a.png"].outcome == "changed"
    undone = undo(project)
    assert undone.restored == ("a.png",)
    assert list(undone.left) == ["b.png"]


def test_an_undo_that_fails_leaves_the_ledger_as_it_is(
    project: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.review("a.png", draw(FREE))
    project.merge()
    project.edit_source("a.png", HUMAN)
    seen = boxes_of(project.pull().dataset)
    with monkeypatch.context() as patched:
        patched.setattr(FilesTool, "restore", Mock(side_effect=ToolError("not reachable")))
        with pytest.raises(ToolError, match="not reachable"):
            undo(project)
    assert boxes_of(project.pull().dataset) == seen
    # Nor does one that leaves an image alone, as somebody has changed it since.
    project.edit_source("a.png", MINED)
    seen = boxes_of(project.pull().dataset)
    assert list(undo(project).left) == ["a.png"]
    assert boxes_of(project.pull().dataset) == seen


def test_an_interrupted_undo_is_completed(
    project: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The annotations are restored, but not yet noted in the ledger."""
    project.review("a.png", without("own"))
    before = project.source_boxes()
    project.merge()
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "record_written", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            undo(project)
    assert undo(project) == UndoneMerge(("a.png",), {})
    assert project.source_boxes() == before
    assert project.merge(write=False)["a.png"].outcome == "changed"


@pytest.mark.parametrize("then", ["undo", "merge"])
def test_an_undo_is_repeated_until_it_was_reported(project: SmallProject, then: str) -> None:
    """Otherwise, repeating one that was killed would undo the merge before it, too."""
    project.review("a.png")
    project.merge()
    project.review("b.png")
    merged = project.source_boxes()
    project.merge()
    assert undo_unreported(project) == undo_unreported(project) == UndoneMerge(("b.png",), {})
    assert project.source_boxes() == merged
    if then == "merge":
        project.merge()
        assert undo(project).restored == ("b.png",)
    else:
        result = project.command("review", project.workspace.root, "--undo-merge")
        assert "1 image is restored to its state before the merge" in result.out
    assert project.source_boxes() == merged
    assert undo(project).restored == ("a.png",)
    with pytest.raises(SparseDetError, match="no merge to undo"):
        undo(project)


def test_files_of_others_in_the_folder_of_a_merge_block_no_undo(project: SmallProject) -> None:
    for name in ("a.png", "b.png"):
        project.review(name)
        project.merge()
    stray = project.workspace.merged / "002" / "notes.txt"
    stray.write_text("ours")
    assert undo(project).restored == ("b.png",)
    assert undo(project).restored == ("a.png",)
    assert (project.workspace.merged / "002.undone" / stray.name).read_text() == "ours"


@pytest.mark.parametrize("killed", ["before it saved anything", "while it saved an image"])
def test_a_merge_that_was_killed_hides_no_earlier_one(killed: str, project: SmallProject) -> None:
    before = project.source_boxes()
    project.review("a.png")
    project.merge()
    folder = project.workspace.merged / "002"
    if killed == "before it saved anything":
        folder.mkdir()
        (folder / ".b.json.999999999.tmp").write_text("{")
    else:
        project.review("b.png")
        project.merge()
        (folder / ".b.json.999999999.tmp").write_text("{")
        assert undo(project).restored == ("b.png",)
    assert undo(project).restored == ("a.png",)
    assert project.source_boxes() == before
    with pytest.raises(SparseDetError, match="no merge to undo"):
        undo(project)


def test_images_of_the_same_name_in_two_projects(project: SmallProject) -> None:
    """`push --project` pushes to further projects, and folders use the same names."""
    other = copy(project)
    other.project = project.tool.set_up_project("other", project.dataset, project.workspace.images)
    other.push("v2", project.mined("v2"))
    for one in (project, other):
        for review in one.tool.open_reviews(f"{one.project}/review"):
            review.submit(review.regions)
    before = project.source_boxes(), other.source_boxes()
    project.merge()
    (folder,) = project.workspace.merged.iterdir()
    assert len(list(folder.iterdir())) == 6
    assert before[0] != project.source_boxes() == other.source_boxes()
    undone = undo(project)
    assert undone.left == {}
    assert sorted(undone.restored) == sorted(2 * ["a.png", "b.png", "c.png"])
    assert (project.source_boxes(), other.source_boxes()) == before
