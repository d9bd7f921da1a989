"""`sparsedet train --config auto`: what is chosen is said once, and stands in the run folder."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from sparsedet.config.training_config import load_config, read_config
from sparsedet.run_folder import RunFolder
from tests.cli.command import sparsedet_here

SHORT = ("SOLVER.MAX_ITER", "2", "SOLVER.WARMUP_ITERS", "1", "SPARSEDET.STAGED.MIN_ITER", "1")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """One image of 1280 x 400 with eight objects of one class, 12 pixels each."""
    pixels = np.full((400, 1280, 3), 60, np.uint8)
    entries = []
    for number in range(8):
        left, top = 20 + 150 * number, 40 + 40 * number
        pixels[top : top + 12, left : left + 12] = 220
        box = {"bbox": [left, top, 12, 12], "area": 144, "iscrowd": 0}
        entries.append({"id": number + 1, "image_id": 1, "category_id": 1, **box})
    (tmp_path / "images").mkdir()
    PIL.Image.fromarray(pixels).save(tmp_path / "images" / "one.png")
    content = {
        "images": [{"id": 1, "file_name": "one.png", "width": 1280, "height": 400}],
        "annotations": entries,
        "categories": [{"id": 1, "name": "cell"}],
    }
    (tmp_path / "tiny.json").write_text(json.dumps(content))
    return tmp_path / "tiny.json"


def test_one_image_of_one_class_trains_in_tiles_and_resumes(tiny: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = ("train", "--train", tiny, "-o", run, "--config", "auto", *SHORT)
    started = sparsedet_here(*command)
    assert started.status == 0, started.err
    assert "auto: tiles of 224 pixels" in started.err
    config = read_config(RunFolder(run).config)
    assert config.input.tile == 224
    RunFolder(run).model.unlink()
    resumed = sparsedet_here(*command, "--resume")
    assert resumed.status == 0, resumed.err
    assert "auto:" not in resumed.err
    assert read_config(RunFolder(run).config).dump() == config.dump()
    mined = sparsedet_here("mine", run, "--data", tiny, "-o", tmp_path / "mined.json")
    assert mined.status == 0, mined.err


def test_one_image_trains_with_a_batch_of_one(tiny: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = sparsedet_here("train", "--train", tiny, "-o", run, "--method", "plain", *SHORT)
    assert result.status == 0, result.err
    assert "SOLVER.IMS_PER_BATCH is 4, but" in result.err
    assert read_config(RunFolder(run).config).solver.batch_size == 1
    assert load_config("lite0_fpn").input.tile == 0
