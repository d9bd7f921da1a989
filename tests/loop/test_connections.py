"""Connections to review places, with and without a workspace."""

from pathlib import Path

import pytest

from sparsedet.annotations import write_coco
from sparsedet.integrations.files.files_tool import FilesTool
from sparsedet.integrations.files.review_files import MARK
from sparsedet.ledger import Source
from sparsedet.loop.reviews import Connections
from sparsedet.loop.workspace import owner_id
from sparsedet.tool import ToolOptions
from tests.cli.command import sparsedet_here
from tests.loop.small_project import SmallProject


def test_a_server_named_by_the_user_is_connected_to_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its address may be stored in another form than the user gave it."""
    opened = []

    def connect(url: str | None, options: ToolOptions) -> FilesTool:
        opened.append((url, options))
        return FilesTool(url, options)

    monkeypatch.setattr("sparsedet.loop.reviews.load_integration", lambda name: connect)
    (tmp_path / "other").mkdir()
    given = f"{tmp_path}/other/.."
    connections = Connections(owner="me", named=given)
    source = Source("files", given, "p")
    assert connections.tool(source).url == str(tmp_path)
    assert connections.tool(Source("files", str(tmp_path), "q")) is connections.tool(source)
    assert opened == [(given, ToolOptions(owner="me", named_url=True))]
    connections.tool(Source("files", str(tmp_path / "other"), "p"))
    assert not opened[-1][1].named_url


def test_a_push_without_a_workspace_is_claimed_for_its_ledger(tmp_path: Path) -> None:
    there, mine = tmp_path / "project", tmp_path / "mine"
    there.mkdir()
    project = SmallProject(there)
    (mine / "images").mkdir(parents=True)
    mined = project.write_mined("v1").rename(mine / "mined.json")
    write_coco(project.dataset, mine / "annotations.json")

    def push(*options: str) -> str:
        words = ("--data", mine / "annotations.json", "--project", project.project)
        place = ("--tool", "files", "--url", project.folder)
        return sparsedet_here("push", mined, *words, *place, *options).err

    mark = project.folder / project.project / "review" / MARK
    assert "next: review them there" in push()
    assert owner_id(mine) in mark.read_text()
    mark.write_text(mark.read_text().replace(owner_id(mine), "another"))
    for options in ((), ("--dry-run",)):
        assert "the workspace another pushes to it" in push(*options)
