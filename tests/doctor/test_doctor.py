"""`sparsedet doctor`: its findings here, and its messages on broken installations."""

import os
import re
import sys
from pathlib import Path

import pytest

from sparsedet.cli.commands.doctor import show_checks
from sparsedet.doctor import install_detectron2
from sparsedet.doctor.checks import (
    Check,
    State,
    check_chromium,
    check_connections,
    check_device,
    check_label_studio,
    check_memory,
    check_opencv,
    check_python,
    check_requirements,
    check_weights,
    find_label_studio,
)
from sparsedet.doctor.detectron2_wheel import WHEEL_FILE, wheel_command
from sparsedet.errors import SetupError
from tests.cli.command import sparsedet, sparsedet_here

KEY = "0123456789abcdef0123456789abcdef01234567"


def break_package(name: str, folder: Path) -> None:
    """Make a package that can't be imported, below a folder of `sys.path`."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("raise ImportError('made for other torch')")


def distribution(name: str, folder: Path) -> Path:
    """Make the metadata of an installed distribution; return its folder."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    return info


def entry_point(name: str, source: str, folder: Path) -> None:
    """Make an integration of a module `NAME_tool` with a class `Tool`."""
    (folder / f"{name}_tool.py").write_text(source, encoding="utf-8")
    points = f"[sparsedet.integrations]\n{name} = {name}_tool:Tool\n"
    distribution(f"{name}_tool", folder).joinpath("entry_points.txt").write_text(points)


def test_this_installation_is_complete() -> None:
    import detectron2

    file = Path(detectron2.__file__)
    before = file.stat().st_mtime_ns
    env = {"LABEL_STUDIO_URL": "http://127.0.0.1:9", "LABEL_STUDIO_API_KEY": KEY}
    result = sparsedet("doctor", "--fix", "--json", env=env)
    assert result.status == 0, result.out
    report = result.json()
    assert report["ok"] is True
    checks = {check["name"]: check for check in report["checks"]}
    for name in ("Python", "device", "detectron2", "torch", "timm", "label-studio-sdk"):
        assert checks[name]["state"] == "ok"
        assert checks[name]["fix"] is None
    assert checks["device"]["found"].startswith(("cpu: ", "cuda: "))
    assert checks["torch"]["found"][0].isdigit()
    assert checks["label-studio connection"]["state"] == "warning"
    assert "not reachable at http://127.0.0.1:9" in checks["label-studio connection"]["found"]
    assert KEY not in result.out + result.err
    assert {"ImageNet weights", "free memory"} <= checks.keys()
    # A detectron2 that works is left alone.
    assert "detectron2 is already installed" in result.err
    assert file.stat().st_mtime_ns == before


CHECKS = [
    Check("Python", State.OK, "3.11.2"),
    Check("OpenCV", State.WARNING, "two of them", "pip uninstall one"),
    Check("Chromium", State.OPTIONAL, "not found", "apt-get install chromium"),
    Check("detectron2", State.MISSING, "not installed", "sparsedet doctor --fix"),
    Check("torch", State.OK, "2.9"),
    Check("server connection", State.UNTESTED, "URL and KEY are not set"),
]


@pytest.mark.parametrize(
    ("checks", "show_all", "lines"),
    [
        (
            CHECKS,
            False,
            [
                "warning   OpenCV      two of them",
                "                      -> pip uninstall one",
                "missing   detectron2  not installed",
                "                      -> sparsedet doctor --fix",
                "checks passed: 2; optional and not installed: Chromium; "
                "not tested, as not configured: server connection (--all shows everything)",
            ],
        ),
        (CHECKS[:1], False, ["checks passed: 1 (--all shows everything)"]),
        (
            CHECKS[:3],
            True,
            [
                "ok        Python    3.11.2",
                "warning   OpenCV    two of them",
                "                    -> pip uninstall one",
                "optional  Chromium  not found",
                "                    -> apt-get install chromium",
            ],
        ),
    ],
)
def test_what_is_wrong_is_shown_and_the_rest_counted(
    checks: list[Check], show_all: bool, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    show_checks(checks, show_all=show_all)
    assert capsys.readouterr().out.splitlines() == lines


def test_a_detectron2_that_is_broken_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_package("detectron2", tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "detectron2"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    result = sparsedet_here("doctor", "--json")
    assert result.status == 1
    assert result.json()["ok"] is False
    (missing,) = [check for check in result.json()["checks"] if check["state"] == "missing"]
    assert missing["name"] == "detectron2"
    assert "made for other torch" in missing["found"]
    assert "sparsedet doctor --fix" in missing["fix"]
    assert "github.com/facebookresearch/detectron2" in missing["fix"]
    shown = sparsedet_here("doctor")
    assert shown.status == 1
    assert "missing" in shown.out
    assert "ImageNet weights" not in shown.out
    assert "ImageNet weights" in sparsedet_here("doctor", "--all").out


@pytest.mark.parametrize("missing", ["LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"])
def test_with_half_a_connection_the_other_half_is_named(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", KEY)
    monkeypatch.delenv(missing)
    (check,) = check_connections()
    assert (check.state, check.found) == (State.WARNING, f"not tested: {missing} is not set")


def test_without_address_and_key_no_connection_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    (check,) = check_connections()
    assert check.state is State.UNTESTED
    assert check.found == "LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY are not set"


def test_other_packages_connections_are_tried_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    source = "class Tool:\n    check_connection = staticmethod(lambda: 'Paper 2 in the drawer')\n"
    entry_point("paper", source, tmp_path)
    entry_point("stone", "raise ImportError('no chisel')", tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    _, paper, stone = check_connections()
    assert (paper.name, paper.state) == ("paper connection", State.OK)
    assert paper.found == "Paper 2 in the drawer"
    assert (stone.name, stone.state) == ("stone connection", State.WARNING)
    assert "no chisel" in stone.found


def test_the_weights_of_the_default_backbone_are_there() -> None:
    assert check_weights().state is State.OK


def test_chromium_is_optional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check_chromium().state is State.OPTIONAL


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
    monkeypatch.delenv("SPARSEDET_LABEL_STUDIO", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv/bin/python"))
    assert find_label_studio() is None
    executable = tmp_path / "server/bin/label-studio"
    info = tmp_path / "server/lib/python3.11/site-packages/label_studio-9.8.dist-info"
    for folder in (executable.parent, info, tmp_path / "venv/bin"):
        folder.mkdir(parents=True)
    executable.touch(mode=0o755)
    info.joinpath("METADATA").write_text(
        "Metadata-Version: 2.1\nName: label-studio\nVersion: 9.8\n"
    )
    monkeypatch.setenv("PATH", str(executable.parent))
    assert find_label_studio() == executable
    link = tmp_path / "venv/bin/label-studio"
    link.symlink_to(executable)
    assert find_label_studio() == link
    assert check_label_studio(link).found == f"9.8 ({link})"
    monkeypatch.setenv("SPARSEDET_LABEL_STUDIO", str(tmp_path / "gone"))
    assert find_label_studio() is None


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
    said = sparsedet_here("doctor", "--fix")
    assert said.status == 1
    last = said.err.splitlines()[-1]
    assert re.match(r"error: pip can't install detectron2.*build it from source ins", last)
    for way in ("with a network or a mirror", "--wheel FILE", "git+https://github.com/"):
        assert way in last


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "sal_detectron2-0.7.2-cp310-none-any.whl",
            "its sha256 is e3b0c44298fc1c149afbf4c8",
        ),
        ("detectron2.whl", "must be called sal_detectron2-0.7.2-cp310-none-any.whl"),
        ("", "no such file"),
    ],
)
def test_a_copy_of_the_wheel_must_be_that_file(name: str, said: str, tmp_path: Path) -> None:
    copy = tmp_path / name
    if name:
        copy.touch()
    result = sparsedet_here("doctor", "--fix", "--wheel", copy)
    assert said in result.err.splitlines()[-1]
    assert result.status == 1


def test_pip_takes_the_copy_and_asks_no_index(tmp_path: Path) -> None:
    command = wheel_command(tmp_path / "detectron2.txt", tmp_path / WHEEL_FILE)
    assert "--no-index" in command
    assert f"--find-links={tmp_path}" in command
    assert "--require-hashes" in command
    assert "--no-index" not in wheel_command(tmp_path / "detectron2.txt")


def test_a_copy_without_fix_is_refused() -> None:
    assert "--wheel needs --fix" in sparsedet_here("doctor", "--wheel", "x.whl").error()


def test_a_build_for_cuda_without_a_gpu_is_no_error() -> None:
    import torch

    check = check_device()
    assert check.state is State.OK
    wasteful = torch.version.cuda is not None and not torch.cuda.is_available()
    assert ("its CPU build takes 4.6 GB less" in check.found) is wasteful


def test_torch_comes_first(broken: Path) -> None:
    break_package("torch", broken)
    with pytest.raises(SetupError, match=r"needs torch.*made for other torch.*install them first"):
        install_detectron2()


def test_a_source_build_is_not_replaced(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch", "torchvision"):
        (broken / f"{name}.py").touch()
    distribution("detectron2", broken)
    monkeypatch.syspath_prepend(str(broken))
    with pytest.raises(SetupError, match="was built from source, but can't be imported"):
        install_detectron2()
