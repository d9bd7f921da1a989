"""The demo's rounds against a real Label Studio, small."""

from pathlib import Path

import pytest

from sparsedet.annotations import read_upright
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.server import LocalServer
from sparsedet.loop.status import read_status
from sparsedet.simulation.demo import LEFT_FOR_YOU, Demo, DemoRule


@pytest.mark.label_studio
def test_the_demo_goes_round(label_studio: LocalServer, tmp_path: Path) -> None:
    tool = LabelStudioTool(label_studio.url, api_key=label_studio.api_key)
    rule = DemoRule(scenes=30, test_scenes=4, drop=0.5, iterations=200, rounds=2)
    said: list[str] = []

    report = Demo(tmp_path, rule, device="cpu", say=said.append).run(tool, "label-studio")
    first, second = report.rounds
    assert first.outcomes.accepted > 0
    assert first.outcomes.pending == 0
    assert second.annotations == first.annotations + first.outcomes.accepted + first.outcomes.edited
    assert second.missing < first.missing
    assert second.missing == first.missing_after
    assert second.missing_after <= second.missing
    assert second.outcomes.pending > 0, f"{LEFT_FOR_YOU} images are left for a person"
    assert report.url
    assert report.url.startswith(label_studio.url)
    assert read_upright(report.picture).shape[2] == 3
    page = report.page.read_text()
    assert page.count("data:image/jpeg;base64,") >= 2
    assert f"{second.missing_after} are still missing" in page
    status = read_status(Demo(tmp_path, rule, device="cpu", say=said.append).workspace)
    assert [entry.round for entry in status.rounds] == [1, 2]
