"""What `sparsedet review` reports."""

import json
from pathlib import Path

import pytest

from sparsedet.cli.merge_results import ConflictResult
from sparsedet.loop.merging import MergedImage
from sparsedet.loop.settings import change_source
from tests.cli.command import sparsedet_here
from tests.loop.small_project import FREE, SmallProject, draw


def test_drawn_boxes_are_counted_by_the_rule_of_the_settings(tmp_path: Path) -> None:
    """Two people drew a box each, and the workspace unites what they left."""
    project = SmallProject(tmp_path)
    change_source(project.workspace.settings_file, {"annotations": "union"})
    project.push("v1")
    project.review("a.png", draw(FREE))
    reviewed = tmp_path / project.review_project / "v1" / "reviewed.json"
    content = json.loads(reviewed.read_text())
    content["annotations"][-1]["bbox"] = [2, 100, 30, 30]
    reviewed.with_name("reviewed-ann.json").write_text(json.dumps(content))
    shown = project.command("review", project.workspace.root, "--json").json()
    status = project.command("status", project.workspace.root, "--json").json()
    assert shown["drawn"] == status["all"]["drawn"] == 2


def test_an_image_that_was_saved_meanwhile_does_not_match_its_review(
    capsys: pytest.CaptureFixture[str],
) -> None:
    images = [
        MergedImage("11", "changed", edited=1),
        MergedImage("12", "blocked", detail="ann@example.com has unsaved changes"),
    ]
    ConflictResult(images, "review").show(Path("cells"))
    printed = capsys.readouterr()
    assert printed.out == "1 images now match their reviews\n"
    assert printed.err == "left as it is: image 12: ann@example.com has unsaved changes\n"


def test_a_merge_by_ledger_can_be_undone_from_any_folder(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    project.push("v1")
    project.review("a.png")
    before = project.source_boxes()
    by_ledger = ("review", "--ledger", project.workspace.ledger)
    for name, option in (("here", "--write"), ("there", "--undo-merge")):
        (tmp_path / name).mkdir()
        options = ("--merge", option) if option == "--write" else (option,)
        assert sparsedet_here(*by_ledger, *options, cwd=tmp_path / name).status == 0
        assert (project.source_boxes() == before) == (option == "--undo-merge")
        assert not any((tmp_path / name).iterdir())
