"""`sparsedet demo` from the command line; repeated, it resumes, even if the tool has moved."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from sparsedet.cli.commands.demo import show_demo
from sparsedet.ledger import OutcomeCounts
from sparsedet.simulation.demo import DemoReport, DemoRule
from sparsedet.simulation.rehearsal import RehearsedRound
from tests.cli.command import sparsedet, sparsedet_here

WORDS = ("--tool", "files", "--iterations", "3", "--rounds", "1", "--json")


def test_a_second_call_finds_everything_at_the_tools_new_address(tmp_path: Path) -> None:
    first = sparsedet("demo", "-o", "demo", *WORDS, cwd=tmp_path)
    assert first.status == 0, first.err
    assert "round 1: train" in first.err
    # A model of three iterations has learned nothing, and nobody has to look at its boxes.
    assert "a longer training (round --iterations) may find more" in first.err
    outcomes = first.json()["rounds"][0]["outcomes"]
    assert outcomes["rejected"] < 100 < outcomes["drawn"]
    # A folder's address is its path; a server that is started again has another port.
    (tmp_path / "demo").rename(tmp_path / "moved")
    again = sparsedet_here("demo", "-o", "moved", *WORDS, cwd=tmp_path)
    assert again.status == 0, again.err
    assert "round 1:" not in again.err
    assert again.json()["rounds"] == first.json()["rounds"]
    assert (tmp_path / "moved/report.html").is_file()


def test_a_demo_of_another_tool_is_not_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    rule = asdict(DemoRule(iterations=3, rounds=1))
    (tmp_path / "demo/demo.json").write_text(json.dumps({"tool": "label-studio", **rule}))
    refused = sparsedet_here("demo", "-o", "demo", *WORDS, cwd=tmp_path)
    assert refused.status == 1
    assert "demo: holds a demo with other settings" in refused.err
    assert "choose another with -o" in refused.err


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/todo.txt").write_text("water the plants")
    refused = sparsedet_here("demo", "-o", "notes", *WORDS, cwd=tmp_path)
    assert "notes: the output folder is not empty, and has no demo" in refused.error()
    assert [path.name for path in (tmp_path / "notes").iterdir()] == ["todo.txt"]
    refused = sparsedet_here("demo", "-o", "notes/todo.txt", *WORDS, cwd=tmp_path)
    assert "todo.txt: a file, not a folder; choose another with -o" in refused.error()


@pytest.mark.parametrize(
    ("missing_after", "share", "advice"), [(0, "100.0%", False), (30, "70.0%", True)]
)
def test_a_demo_ends_with_how_complete_it_is_and_what_to_do(
    capsys: pytest.CaptureFixture[str], missing_after: int, share: str, advice: bool
) -> None:
    only = RehearsedRound(1, 40, 60, missing_after, OutcomeCounts(), 5, 9.0, 3, None, None)
    page = Path("report.html")
    show_demo(DemoReport(100, [only], None, None, page, page, "about 70 of 100 objects"))
    printed = capsys.readouterr()
    text = " ".join((printed.out + printed.err).split())
    left = f"{missing_after} of 60 missing boxes are still missing after the last review"
    assert f"{left}: {share} of the digits have a box" in text
    assert "estimate without ground truth: about 70 of 100 objects" in text
    assert "review project: nothing is left to review" in text
    assert ("--rounds 2" in text) == advice
