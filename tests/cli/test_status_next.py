"""What `sparsedet status` says to do: where to review, and which command comes next."""

import json
from pathlib import Path

import pytest

from sparsedet.ledger import Ledger
from sparsedet.loop.settings import Settings, Source
from sparsedet.loop.workspace import Workspace
from tests.cli.command import sparsedet_here
from tests.loop.small_project import SmallProject


@pytest.mark.parametrize("with_ledger", [False, True])
def test_before_the_first_round_it_names_the_command(tmp_path: Path, with_ledger: bool) -> None:
    source = Source(tool="files", url=str(tmp_path), project="cats")
    workspace = Workspace(tmp_path / "work")
    workspace.write_settings(Settings(source=source))
    if with_ledger:
        Ledger(workspace.ledger).close()
    assert sparsedet_here("status", "work", cwd=tmp_path).error() == (
        "work: no round yet: run `sparsedet round work`"
    )


def test_a_ledger_without_pushes_says_so(tmp_path: Path) -> None:
    Ledger(Workspace(tmp_path).ledger).close()
    assert "nothing has been pushed yet; see" in sparsedet_here("status", tmp_path).error()


def test_it_says_where_to_review_and_what_comes_next(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    project.push_round(1, "first")
    folder = project.workspace.round(1)
    record = json.loads(folder.push.read_text())
    folder.push.write_text(json.dumps({**record, "images": 2, "url": "http://labels/projects/8"}))
    for file in (folder.known, folder.train, folder.run.model):
        file.parent.mkdir(exist_ok=True)
        file.write_text('{"settled": []}')

    def last_lines() -> tuple[str, str]:
        shown = sparsedet_here("status", "work", cwd=tmp_path)
        assert shown.status == 0, shown.err
        return shown.out.splitlines()[-1], shown.err.splitlines()[-1]

    project.review("a.png")
    assert sparsedet_here("review", "work", cwd=tmp_path).status == 0
    up, then = last_lines()
    assert up == "round 1: 1 of 2 images reviewed since the last push, at http://labels/projects/8"
    assert then.startswith("next: review there, then: sparsedet round work")
    folder.push.write_text(json.dumps({**record, "images": 1, "url": "http://labels/projects/8"}))
    assert last_lines()[1] == "next: sparsedet round work"
    folder.push.unlink()
    assert "round 1 is not finished" in sparsedet_here("status", "work", cwd=tmp_path).err


def test_a_check_finds_newer_reviews(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    project.push("v1")
    project.collect()
    root = project.workspace.root
    assert "just now; nobody has reviewed since" in project.command("status", root, "--check").err
    project.review("a.png")
    result = project.command("status", root, "--check")
    assert f"there are newer reviews: sparsedet review {root}" in result.err
    assert project.command("status", root, "--check", "--json").json()["newer_reviews"] is True
    project.command("review", root)
    assert project.command("status", root, "--check", "--json").json()["newer_reviews"] is False
