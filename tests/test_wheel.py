"""The built wheel in a fresh environment: it runs, and finds its configs and recipes."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution, requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import sparsedet
from sparsedet.sparsify import recipe_names

ROOT = Path(__file__).parents[1]
INSTALLED_AS = {
    "sparsedet": "sparsedet",
    "cli": "sparsedet/cli",
    "integrations": "sparsedet/integrations",
    "configs": "sparsedet/configs",
    "splits": "sparsedet/splits",
}
"""Folders of the repository and where they stand in the wheel."""

# What a person may do with little installed: the help and the recipes.
LIGHT = ("typer", "PyYAML", "numpy")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: setuptools would add what lies in an old `build/`."""
    copy = tmp_path_factory.mktemp("source")
    for folder in INSTALLED_AS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / file, copy / file)
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", copy, cwd=copy.parent)
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment that holds the wheel and nothing else but `LIGHT`."""
    venv = tmp_path_factory.mktemp("fresh") / "venv"
    _run(sys.executable, "-m", "venv", "--without-pip", venv)
    executable = venv / "bin" / "python"
    _run(
        sys.executable, "-m", "pip", "--python", executable,
        "install", "--quiet", "--no-deps", "--no-index", wheel,
    )  # fmt: skip
    (site,) = venv.glob("lib/python*/site-packages")
    for name in LIGHT:
        _link(name, site)
    return executable


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    result = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def _link(name: str, site: Path) -> None:
    """Make an installed distribution and all that it requires visible in another environment."""
    for file in distribution(name).files or []:
        top = file.parts[0]
        if top not in ("..", "__pycache__") and not (site / top).exists():
            (site / top).symlink_to(str(distribution(name).locate_file(top)))
    for requirement in map(Requirement, requires(name) or []):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            _link(requirement.name, site)


def test_everything_stands_under_one_import_name(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"sparsedet"}


def test_no_file_is_forgotten(wheel: Path) -> None:
    expected = {
        f"{target}/{path.relative_to(ROOT / folder)}"
        for folder, target in INSTALLED_AS.items()
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".yaml", ".html", ".typed")
    }
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert found == expected
    assert "sparsedet/py.typed" in found
    assert "sparsedet/configs/lite0_fpn.yaml" in found


def test_the_version_is_the_changelogs_and_the_citations() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    latest = re.findall(r"^## \[(\d\S+)\] - (\S+)$", changelog, re.MULTILINE)[0]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], str(citation["date-released"])) == latest
    assert latest[0] == sparsedet.__version__


def test_the_wheel_names_its_version_licence_and_pythons(wheel: Path) -> None:
    files = zipfile.ZipFile(wheel)
    info = f"sparsedet-{sparsedet.__version__}.dist-info"
    assert {f"{info}/licenses/LICENSE", f"{info}/licenses/NOTICE"} <= set(files.namelist())
    metadata = files.read(f"{info}/METADATA").decode().splitlines()
    for line in (
        f"Version: {sparsedet.__version__}",
        "License-Expression: MIT",
        "Requires-Python: >=3.11",
        *(f"Classifier: Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)),
    ):
        assert line in metadata


def test_help_runs_alone(python: Path, tmp_path: Path) -> None:
    command = python.parent / "sparsedet"
    assert "Usage" in _run(command, "--help", cwd=tmp_path)
    assert "--recipe" in _run(command, "split", "--help", cwd=tmp_path)
    assert "Usage" in _run(python, "-m", "sparsedet", "--help", cwd=tmp_path)


def test_configs_and_recipes_are_found(python: Path, tmp_path: Path) -> None:
    code = """
import json
from importlib.resources import files

import sparsedet
import sparsedet
from sparsedet.sparsify import load_recipe, recipe_names

from sparsedet.loop.data_sources import RELEASED

print(json.dumps({
    "place": sparsedet.__file__,
    "configs": [entry.name for entry in files("sparsedet.configs").iterdir()],
    "recipes": [load_recipe(name).name for name in recipe_names()],
    "released": list(RELEASED),
}))
"""
    found = json.loads(_run(python, "-c", code, cwd=tmp_path))
    assert Path(found["place"]).is_relative_to(python.parents[1])
    assert "lite0_fpn.yaml" in found["configs"]
    assert found["recipes"] == recipe_names()
    assert len(found["released"]) == 15
