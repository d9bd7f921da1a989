"""The files of a project folder, and how commands find them."""

from pathlib import Path

import pytest

from sparsedet.errors import SparseDetError
from sparsedet.workspace import Source, Workspace, enclosing, locate

SOURCE = Source("label-studio", "http://localhost:8080", "7")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "cells")
    workspace.images.mkdir(parents=True)
    workspace.annotations.write_text("{}")
    workspace.write_source(SOURCE)
    return workspace


def test_the_source_is_remembered(workspace: Workspace) -> None:
    assert workspace.source() == SOURCE


def test_a_source_of_another_shape_is_one_clear_error(workspace: Workspace) -> None:
    workspace.source_file.write_text('{"tool": "x", "color": "red"}')
    with pytest.raises(SparseDetError, match=r"source\.json: unexpected content"):
        workspace.source()


@pytest.mark.parametrize(
    ("below", "found"),
    [
        (".", True),
        ("train.json", True),
        ("splits/half/train.json", True),
        ("a/b/c/d/train.json", False),
        ("..", False),
    ],
)
def test_the_workspace_around_a_file(workspace: Workspace, below: str, found: bool) -> None:
    around = enclosing(workspace.root / below)
    assert around == (Workspace(workspace.root.resolve()) if found else None)


def test_locate_takes_a_workspace_or_a_file(workspace: Workspace, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    file = workspace.root / "train.json"
    assert locate(workspace.root, None) == (workspace.annotations, workspace.images)
    assert locate(workspace.root, elsewhere) == (workspace.annotations, elsewhere)
    assert locate(file, None) == (file, workspace.images)
    assert locate(file, elsewhere) == (file, elsewhere)


def test_what_locate_can_not_find(tmp_path: Path) -> None:
    with pytest.raises(SparseDetError, match="run `sparsedet pull` first"):
        locate(tmp_path, None)
    with pytest.raises(SparseDetError, match="where are its images"):
        locate(tmp_path / "train.json", None)
