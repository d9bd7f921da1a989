"""The Python page: every example runs, in order."""

import re
import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

import sparsedet
from sparsedet.prediction.detector import Detector
from tests.conftest import Scenes
from tests.prediction.random_run import make_random_run

TRAIN_AGAIN = """
sparsedet.train("half/train.json", "half/run", images="photos", overrides=["SOLVER.MAX_ITER", "12"])
"""
PAGE = Path(__file__).parent.parent / "docs/python-api.md"


def test_every_example_runs(
    scenes: Scenes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(examples) >= 6
    shutil.copytree(scenes.images, tmp_path / "photos")
    shutil.copy(scenes.images / scenes.dataset.images[0].file_name, tmp_path / "photo.png")
    shutil.copy(scenes.annotations, tmp_path / "full.json")
    make_random_run(tmp_path / "run")
    names: dict[str, Any] = {}
    with chdir(tmp_path):
        for example in examples:
            exec(example.replace('"400"', '"12"'), names)  # noqa: S102 - our own page
    assert isinstance(names["model"], Detector)
    assert {entry["image_id"] for entry in names["entries"]} <= {7}
    assert (tmp_path / "half/run/model.pth").is_file()
    assert all(0 <= box.expected_precision <= 1 for box in names["mined"])
    assert f"{len(scenes.dataset.images)} {scenes.dataset.counts()}" in capsys.readouterr().out

    # The same call again finds the training finished; another one is refused.
    model = tmp_path / names["run"].model
    written = model.stat().st_mtime_ns
    with chdir(tmp_path):
        exec(TRAIN_AGAIN, names)  # noqa: S102
        with pytest.raises(sparsedet.SparseDetError, match=r"half/run"):
            sparsedet.train("half/train.json", "half/run", images="photos")
    assert model.stat().st_mtime_ns == written


def test_what_is_listed_is_there_and_nothing_else() -> None:
    assert all(getattr(sparsedet, name) is not None for name in sparsedet.__all__)
    with pytest.raises(AttributeError, match="no attribute 'mines'"):
        _ = sparsedet.mines


def test_importing_is_light() -> None:
    heavy = "'torch', 'numpy', 'detectron2', 'cv2', 'label_studio_sdk'"
    code = f"import sparsedet, sys; print([n for n in ({heavy}) if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
