"""`sparsedet demo`, as it is typed; called again it resumes, also where the tool has moved."""

import json
from dataclasses import asdict
from pathlib import Path

from sparsedet.simulation.demo import DemoRule
from tests.cli.command import sparsedet, sparsedet_here

WORDS = ("--tool", "files", "--iterations", "3", "--rounds", "1", "--json")


def test_a_second_call_finds_everything_at_the_tools_new_address(tmp_path: Path) -> None:
    first = sparsedet("demo", "-o", "demo", *WORDS, cwd=tmp_path)
    assert first.status == 0, first.err
    assert "round 1: train" in first.err
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
