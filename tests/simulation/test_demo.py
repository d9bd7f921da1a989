"""The demo at small size: its generated scenes, and its rounds on a real Label Studio."""

from pathlib import Path

import numpy as np
import pytest

from sparsedet.annotations import check_images, read_upright
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from sparsedet.loop.status import read_status
from sparsedet.simulation.demo import LEFT_FOR_YOU, Demo, DemoRule
from sparsedet.simulation.scenes import make_scenes


@pytest.mark.label_studio
def test_the_demo_goes_round(label_studio: LocalServer, tmp_path: Path) -> None:
    tool = LabelStudioTool(label_studio.url, api_key=label_studio.api_key)
    rule = DemoRule(scenes=24, test_scenes=4, drop=0.5, iterations=120, rounds=2)
    said: list[str] = []

    steps = Demo(tmp_path, rule, device="cpu", say=said.append)
    steps.open_folder("label-studio")
    report = steps.run(tool, "label-studio")
    first, second = report.rounds
    assert first.outcomes.accepted > 0
    assert first.outcomes.pending == 0
    added = first.outcomes.accepted + first.outcomes.edited + first.drawn
    assert second.annotations == first.annotations + added
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


def test_scenes_are_valid_and_repeatable(tmp_path: Path) -> None:
    first = make_scenes(4, tmp_path / "first", seed=5)
    again = make_scenes(4, tmp_path / "again", seed=5)
    other = make_scenes(4, tmp_path / "other", seed=6)
    assert first == again
    assert first != other
    check_images(first, tmp_path / "first")
    for image in first.images:
        one, other_one = (
            read_upright(tmp_path / name / image.file_name) for name in ("first", "again")
        )
        assert np.array_equal(one, other_one)
        assert first.boxes_by_image[image.id]
    assert len({box.id for box in first.boxes}) == len(first.boxes)
    for box in first.boxes:
        size = first.image_by_id[box.image_id]
        assert 0 <= box.xyxy[0] < box.xyxy[2] <= size.width
        assert 0 <= box.xyxy[1] < box.xyxy[3] <= size.height


def test_a_digit_stands_out_inside_its_box(tmp_path: Path) -> None:
    scenes = make_scenes(6, tmp_path, seed=2)
    contrasts = []
    for box in scenes.boxes:
        pixels = read_upright(tmp_path / scenes.image_by_id[box.image_id].file_name)
        left, top, right, bottom = (int(edge) for edge in box.xyxy)
        contrasts.append(pixels[top:bottom, left:right].astype(float).std())
    assert np.median(contrasts) > 20
