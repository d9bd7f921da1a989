"""What `sparsedet review` reports."""

import json
from pathlib import Path

import pytest

from sparsedet.cli.commands.merge_results import ConflictResult, UndoneLotResult, UndoResult
from sparsedet.loop.lots import UndoneLot
from sparsedet.loop.merge_undo import UndoneMerge
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
    assert printed.out == "1 image now matches its reviews\n"
    assert printed.err == "left as it is: image 12: ann@example.com has unsaved changes\n"


@pytest.mark.parametrize(
    ("number", "conflicts", "kept", "restored", "lot"),
    [
        (
            1,
            "1 conflict\n",
            "1 box on 1 image stays as it is\n",
            "1 image is restored to its state before the merge\n",
            "1 box of lot 3-1 is no longer accepted; it comes up for review in the next round\n",
        ),
        (
            2,
            "2 conflicts\n",
            "2 boxes on 2 images stay as they are\n",
            "2 images are restored to their state before the merge\n",
            "2 boxes of lot 3-1 are no longer accepted; they come up for review in the next "
            "round\n",
        ),
    ],
)
def test_results_agree_with_their_numbers(
    number: int,
    conflicts: str,
    kept: str,
    restored: str,
    lot: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ids = tuple(map(str, range(number)))
    images = [MergedImage(id, "conflict") for id in ids]
    results: list[tuple[ConflictResult | UndoResult | UndoneLotResult, str]] = [
        (ConflictResult(images), conflicts),
        (ConflictResult(images, "source", number), kept),
        (UndoResult(UndoneMerge(ids, {})), restored),
        (UndoneLotResult(UndoneLot("3-1", pending=number, kept=0, merged=0)), lot),
    ]
    for result, expected in results:
        result.show(Path("cells"))
        assert capsys.readouterr().out == expected


def test_one_box_of_an_undone_lot_is_named_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    UndoneLotResult(UndoneLot("3-1", pending=0, kept=1, merged=1)).show(Path("cells"))
    kept, merged = capsys.readouterr().err.splitlines()
    assert kept == "1 is unchanged: somebody has reviewed it since"
    assert merged.startswith("1 is already merged; to remove it from the source annotations: ")


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
