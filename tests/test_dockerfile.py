"""What the Dockerfile names is there; it is built where there is a Docker."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINES = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
"""Of the Dockerfile, each instruction on one line."""


def instructions(name: str) -> list[str]:
    """Return what follows an instruction's name, for each of them."""
    return [line.removeprefix(f"{name} ") for line in LINES if line.startswith(f"{name} ")]


def copied() -> set[str]:
    return {source for line in instructions("COPY") for source in line.split()[:-1]}


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    assert copied() == {line[1:] for line in ignored if line.startswith("!")}
    for name in copied():
        assert (ROOT / name).exists(), name


def test_what_the_installation_reads_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders = set(project["tool"]["setuptools"]["package-dir"].values())
    files = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    assert folders | files | {"Makefile", "requirements"} <= copied()


def test_targets_and_arguments_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    (run,) = [line.split() for line in instructions("RUN") if line.startswith("make ")]
    assert run[1] in targets
    given = dict(word.split("=") for word in run[2:])
    for name in given:
        assert re.search(rf"^{name} \?=", makefile, re.MULTILINE), name
    defaults = dict(line.split("=") for line in instructions("ARG"))
    assert defaults.keys() == {"BASE", "CPU_TORCH"}
    assert defaults["CPU_TORCH"] in makefile
    assert instructions("FROM") == ["${BASE}"]
