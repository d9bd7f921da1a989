"""`sparsedet doctor` where an installation was interrupted, or has no pip."""

import os
from pathlib import Path

import pytest

from sparsedet.doctor.checks import State, check_requirements, installed
from tests.cli.command import sparsedet_here
from tests.doctor.test_doctor import break_package


def test_what_an_interrupted_installation_left_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_toy-1.0.dist-info").mkdir()
    info = tmp_path / "toy-1.0.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text(
        "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\nRequires-Dist: half-toy\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    (check,) = check_requirements("toy")
    assert (check.state, check.found) == (State.MISSING, "installed in part, without metadata")
    assert "--force-reinstall --no-deps half-toy" in str(check.fix)
    assert "toy" in installed()
    assert "" not in installed()


def test_without_pip_the_way_to_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Environments of uv have none."""
    break_package("detectron2", tmp_path)
    for name in ("torch", "torchvision"):
        (tmp_path / f"{name}.py").touch()
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "__init__.py").touch()
    (tmp_path / "pip" / "__main__.py").write_text("raise SystemExit('python: No module named pip')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    # Nothing can be installed, whatever else goes wrong.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    said = sparsedet_here("doctor", "--fix").err.splitlines()[-1]
    assert said.startswith("error: this environment has no pip to install detectron2 with")
    assert "-m ensurepip" in said
