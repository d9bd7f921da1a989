"""`sparsedet doctor --fix` where detectron2 can't be imported: nothing is made worse."""

import os
from pathlib import Path

import pytest

from sparsedet.doctor import install_detectron2
from sparsedet.errors import SetupError
from tests.doctor.packages import break_package, distribution


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that come first; detectron2 in it can't be imported."""
    break_package("detectron2", tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_a_failing_pip_is_one_line(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch", "torchvision"):
        (broken / f"{name}.py").touch()
    (broken / "no-packages").mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(broken / "no-packages"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(SetupError, match=r"pip can't install detectron2.*build it from source ins"):
        install_detectron2()


def test_torch_comes_first(broken: Path) -> None:
    break_package("torch", broken)
    with pytest.raises(SetupError, match=r"needs torch.*made for other torch.*install them first"):
        install_detectron2()


def test_a_source_build_is_not_replaced(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch", "torchvision"):
        (broken / f"{name}.py").touch()
    distribution("detectron2", broken)
    monkeypatch.syspath_prepend(str(broken))
    with pytest.raises(SetupError, match="built from source is installed but can't be imported"):
        install_detectron2()
