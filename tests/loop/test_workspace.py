"""The files of a project folder, and how commands find them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sparsedet.errors import SparseDetError
from sparsedet.loop.settings import Settings, Source
from sparsedet.loop.workspace import Workspace, enclosing, locate

SETTINGS = Settings(source=Source(tool="label-studio", url="http://localhost:8080", project="7"))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "cells")
    workspace.images.mkdir(parents=True)
    workspace.annotations.write_text("{}")
    workspace.write_settings(SETTINGS)
    return workspace


@pytest.mark.parametrize(
    ("below", "found"),
    [
        (".", True),
        ("train.json", True),
        ("splits/half/train.json", True),
        ("a/b/c/d/e/f/train.json", False),
        ("..", False),
    ],
)
def test_the_workspace_around_a_file(workspace: Workspace, below: str, found: bool) -> None:
    around = enclosing(workspace.root / below)
    assert around == (Workspace(workspace.root.resolve()) if found else None)


def test_a_workspace_takes_text_as_its_folder(workspace: Workspace) -> None:
    folder: Any = str(workspace.root)
    assert Workspace(folder) == workspace
    assert Workspace(folder).settings() == SETTINGS


def test_locate_takes_a_workspace_or_a_file(workspace: Workspace, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    file = workspace.root / "train.json"
    assert locate(workspace.root, None) == (workspace.annotations, workspace.images)
    assert locate(workspace.root, elsewhere) == (workspace.annotations, elsewhere)
    assert locate(file, None) == (file, workspace.images)
    assert locate(file, elsewhere) == (file, elsewhere)


def test_what_locate_can_not_find(workspace: Workspace, tmp_path: Path) -> None:
    workspace.annotations.unlink()
    with pytest.raises(SparseDetError, match="run `sparsedet pull` first"):
        locate(workspace.root, None)
    with pytest.raises(SparseDetError, match="pass the annotation file itself"):
        locate(tmp_path, None)
    with pytest.raises(SparseDetError, match="missing image folder"):
        locate(tmp_path / "train.json", None)


DEAD = 99_999_999
"""The id of no process here. It may be one of another container, or on another machine."""


@pytest.mark.parametrize(
    ("name", "goes"),
    [
        (".annotations.json.PID.tmp", True),
        (".ledger.sqlite.PID.tmp-journal", True),
        ("merged/001/.0a.json.PID.tmp", True),
        ("rounds/001/.review.json.PID.tmp", True),
        ("rounds/001/.run.PID.tmp/model.pth", True),
        ("rounds/001/run/checkpoints/.00000100.pth.PID.tmp", False),
        (".notes.txt.PID.tmp", False),
        ("other/.annotations.json.PID.tmp", False),
        ("rounds/001/.review.json.tmp", False),
        ("rounds/001/review.json.PID.tmp", False),
    ],
)
def test_a_lock_removes_what_killed_processes_left(
    workspace: Workspace, name: str, goes: bool
) -> None:
    """But nothing that a training may be writing, which needs no lock of the workspace."""
    # Ids come again: that of a killed process may be of another one by now.
    left = [workspace.root / name.replace("PID", str(id)) for id in (DEAD, os.getppid())]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    for options in ({"tidy": False}, {"brief": True}):
        with workspace.lock(**options):
            assert all(path.exists() for path in left)
    with workspace.lock():
        assert [path.exists() for path in left] == [not goes] * 2
    assert workspace.annotations.exists()


def test_a_file_in_the_place_of_a_workspace_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "cells").write_text("notes")
    with (
        pytest.raises(SparseDetError, match=r"cells: a file, not a folder; choose another name"),
        Workspace(tmp_path / "cells").lock(),
    ):
        pass


def test_a_lock_removes_nothing_behind_a_link(workspace: Workspace, tmp_path: Path) -> None:
    outside = tmp_path / "outside" / f".review.json.{DEAD}.tmp"
    outside.parent.mkdir()
    outside.write_text("half")
    for link in (workspace.rounds / "001", workspace.rounds):
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(outside.parent)
        with workspace.lock():
            assert outside.exists()
        link.unlink()
        if link.parent == workspace.rounds:
            link.parent.rmdir()


def test_rounds_are_found_in_order(workspace: Workspace) -> None:
    assert workspace.all_rounds() == []
    for name in ("010", "002", "notes", "001"):
        (workspace.rounds / name).mkdir(parents=True)
    assert [folder.number for folder in workspace.all_rounds()] == [1, 2, 10]
    assert workspace.round(2).root == workspace.rounds / "002"


HOLD_THE_LOCK = """
import sys, time
from pathlib import Path
from sparsedet.loop.workspace import Workspace
with Workspace(Path(sys.argv[1])).lock():
    print("locked", flush=True)
    time.sleep(60)
"""


def test_one_process_at_a_time_and_a_killed_one_leaves_no_lock(workspace: Workspace) -> None:
    command = [sys.executable, "-c", HOLD_THE_LOCK, str(workspace.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "locked\n"
        with (
            pytest.raises(SparseDetError, match="another sparsedet process is working"),
            workspace.lock(),
        ):
            pass
        other.kill()
    with workspace.lock():
        pass
