"""The demo's loop against a real Label Studio, small."""

from pathlib import Path

import pytest

from sparsedet.annotations import read_upright
from sparsedet.demo import LEFT_FOR_YOU, Demo, DemoRule
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.server import LocalServer


@pytest.mark.label_studio
def test_the_demo_goes_round_and_a_second_call_changes_nothing(
    label_studio: LocalServer, tmp_path: Path
) -> None:
    tool = LabelStudioTool(label_studio.url, api_key=label_studio.api_key)
    rule = DemoRule(scenes=40, test_scenes=4, drop=0.5, iterations=90)
    said: list[str] = []

    report = Demo(tmp_path, rule, device="cpu", say=said.append).run(tool, "label-studio")
    outcomes = report.outcomes
    assert report.pulled_images == 40
    assert report.mined == report.push.boxes > 0
    settled = outcomes.accepted + outcomes.edited + outcomes.rejected
    assert settled + outcomes.pending == report.mined
    assert outcomes.accepted > 0
    assert 0 < outcomes.pending < report.mined
    assert report.push.images >= LEFT_FOR_YOU
    assert read_upright(tmp_path / "picture.jpg").shape[2] == 3

    again = Demo(tmp_path, rule, device="cpu", say=said.append).run(tool, "label-studio")
    assert again.push.created == 0
    assert again.mined == report.mined
