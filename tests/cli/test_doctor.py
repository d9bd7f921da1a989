"""`sparsedet doctor`: what it finds here, and what it says about broken installations."""

import os
from pathlib import Path

import pytest

from sparsedet.setup_check import (
    State,
    check_label_studio,
    check_memory,
    check_opencv,
    check_python,
    check_requirements,
    find_label_studio,
)
from tests.cli.command import sparsedet


def test_this_installation_is_complete() -> None:
    result = sparsedet("doctor", "--json")
    assert result.status == 0, result.out
    report = result.json()
    assert report["ok"] is True
    checks = {check["name"]: check for check in report["checks"]}
    for name in ("Python", "device", "detectron2", "torch", "timm", "label-studio-sdk"):
        assert checks[name]["state"] == "ok"
        assert checks[name]["fix"] is None
    assert checks["device"]["found"].startswith(("cpu: ", "cuda: "))
    assert checks["torch"]["found"][0].isdigit()


def test_report_for_people_has_a_line_per_check() -> None:
    result = sparsedet("doctor")
    assert result.status == 0, result.out
    lines = result.out.splitlines()
    for name in ("Python", "device", "detectron2", "ImageNet weights", "free memory"):
        assert sum(name in line for line in lines) >= 1


def _broken_detectron2(folder: Path) -> dict[str, str]:
    """Return an environment in which detectron2 is there, but can't be imported."""
    (folder / "detectron2").mkdir()
    (folder / "detectron2" / "__init__.py").write_text("raise ImportError('made for other torch')")
    return {"PYTHONPATH": str(folder)}


def test_missing_part_is_named_with_its_fix_and_status_1(tmp_path: Path) -> None:
    result = sparsedet("doctor", "--json", env=_broken_detectron2(tmp_path))
    assert result.status == 1
    assert result.json()["ok"] is False
    missing = [check for check in result.json()["checks"] if check["state"] == "missing"]
    assert [check["name"] for check in missing] == ["detectron2"]
    assert "made for other torch" in missing[0]["found"]
    assert "sparsedet doctor --fix" in missing[0]["fix"]
    assert "github.com/facebookresearch/detectron2" in missing[0]["fix"]


def test_fix_leaves_a_working_detectron2_alone() -> None:
    import detectron2

    file = Path(detectron2.__file__)
    before = file.stat().st_mtime_ns
    result = sparsedet("doctor", "--fix")
    assert result.status == 0, result.out
    assert "nothing to install" in result.err
    assert file.stat().st_mtime_ns == before


def test_fix_that_fails_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "no-packages").mkdir()
    offline = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path / "no-packages"),
        "PIP_CONFIG_FILE": os.devnull,
    }
    result = sparsedet("doctor", "--fix", env={**_broken_detectron2(tmp_path), **offline})
    assert result.status == 1
    last = result.err.splitlines()[-1]
    assert last.startswith("error: pip can't install detectron2")
    assert "build it from source instead" in last


def test_requirements_are_read_from_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "toy-1.0.dist-info"
    info.mkdir()
    requires = ["numpy>=1", "pillow>=9999", "no-such-thing<3", "pytest; extra == 'test'"]
    info.joinpath("METADATA").write_text(
        "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n"
        + "".join(f"Requires-Dist: {line}\n" for line in requires)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    numpy, pillow, absent = check_requirements("toy")
    assert (numpy.state, numpy.fix) == (State.OK, None)
    assert pillow.state is State.MISSING
    assert "needs >=9999" in pillow.found
    assert pillow.fix
    assert "install 'pillow>=9999'" in pillow.fix
    assert (absent.state, absent.found) == (State.MISSING, "not installed")


def test_package_that_is_not_installed() -> None:
    (check,) = check_requirements("no-such-thing")
    assert (check.state, check.found) == (State.MISSING, "not installed")


@pytest.mark.parametrize(
    ("version", "state"),
    [((3, 10, 9), State.MISSING), ((3, 11, 0), State.OK), ((3, 14, 1), State.OK)],
)
def test_python_version(version: tuple[int, int, int], state: State) -> None:
    assert check_python(version).state is state


def test_two_opencvs_are_a_warning_with_the_way_out() -> None:
    assert not list(check_opencv({"opencv-python-headless"}))
    (check,) = check_opencv({"opencv-python-headless", "opencv-python"})
    assert check.state is State.WARNING
    assert check.fix
    assert "uninstall -y opencv-python " in check.fix


@pytest.mark.parametrize(
    ("gib", "state"), [(None, State.OK), (0.5, State.WARNING), (12.0, State.OK)]
)
def test_memory(gib: float | None, state: State) -> None:
    assert check_memory(gib).state is state


def test_label_studio_server_is_optional() -> None:
    check = check_label_studio(None)
    assert check.state is State.OPTIONAL
    assert check.fix
    assert "make label-studio" in check.fix


def test_label_studio_server_is_found_with_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable = tmp_path / ".venv-label-studio" / "bin" / "label-studio"
    info = tmp_path / ".venv-label-studio/lib/python3.11/site-packages/label_studio-9.8.dist-info"
    executable.parent.mkdir(parents=True)
    executable.touch()
    info.mkdir(parents=True)
    info.joinpath("METADATA").write_text(
        "Metadata-Version: 2.1\nName: label-studio\nVersion: 9.8\n"
    )
    monkeypatch.delenv("SPARSEDET_LABEL_STUDIO", raising=False)
    monkeypatch.chdir(tmp_path)
    assert find_label_studio() == executable
    assert check_label_studio(executable).found == f"9.8 ({executable})"
    monkeypatch.setenv("SPARSEDET_LABEL_STUDIO", str(tmp_path / "gone"))
    assert find_label_studio() is None
