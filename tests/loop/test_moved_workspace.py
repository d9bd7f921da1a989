"""A workspace that was moved to another folder continues there."""

import shutil
from pathlib import Path

from sparsedet.loop.workspace import Workspace
from tests.checking.damaged import with_model
from tests.cli.command import sparsedet_here
from tests.loop.lot_project import LotProject


def test_reviews_merges_and_rounds_continue_in_a_moved_workspace(tmp_path: Path) -> None:
    project = LotProject(tmp_path)
    with_model(project, 1, found=5)
    project.review()
    elsewhere = tmp_path / "other disk" / "moved"
    elsewhere.parent.mkdir()
    shutil.move(project.workspace.root, elsewhere)
    project.workspace = Workspace(elsewhere)
    before = project.source_boxes()

    assert sparsedet_here("check", elsewhere, "--server").status == 0
    reviewed = sparsedet_here("review", elsewhere, "--merge", "--write", "--json").json()
    assert reviewed["accepted"] > 0
    assert project.source_boxes() > before
    assert sparsedet_here("review", elsewhere, "--undo-merge").status == 0
    assert project.source_boxes() == before
    with_model(project, 2, found=8)
    assert project.shown_ids()
    assert sparsedet_here("status", elsewhere).status == 0
    assert not project.folder.joinpath("work").exists()
