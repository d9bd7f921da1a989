"""The code matches ARCHITECTURE.md: the folders, and the import order."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def _block(heading: str) -> list[str]:
    """Return the lines of the first code block below a heading."""
    found = re.search(rf"^## {heading}\n.*?^```\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    assert found, heading
    return found[1].splitlines()


def _listed() -> set[str]:
    """Return the paths that the list of folders names, relative to the repository."""
    paths: set[str] = set()
    parents: list[str] = []
    for line in _block("Folders"):
        entry = re.match(r"( *)([a-z_]+(?:/|\.py))(?: |$)", line)
        if entry:
            parents[len(entry[1]) // 2 :] = [entry[2]]
            paths.add("".join(parents))
    return paths


FLOORS = {name: -number for number, line in enumerate(_block("Imports")) for name in line.split()}
"""Name below `sparsedet` -> its floor, the highest is 0."""


def _imports(path: Path) -> Iterator[str]:
    """Yield the absolute names that a file imports from."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from sparsedet.runtime import processes` imports a module, too.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def test_every_folder_is_listed_and_there() -> None:
    listed = _listed()
    assert all((ROOT / path).exists() for path in listed), listed
    core = {
        f"sparsedet/{path.name}{'/' if path.is_dir() else ''}"
        for path in (ROOT / "sparsedet").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert core - {"sparsedet/__init__.py", "sparsedet/__main__.py"} <= listed


def test_files_to_look_at_first_are_there() -> None:
    rows = [
        re.findall(r"`([a-z_/]+\.py)`", row)
        for row in re.findall(r"^\| .*\? \| (.*) \|$", TEXT, re.M)
    ]
    assert len(rows) > 30
    # Where several are named, those without a folder are in that of the first.
    paths = [
        name if "/" in name else f"{Path(first).parent}/{name}"
        for first, *others in rows
        for name in (first, *others)
    ]
    assert [path for path in paths if not (ROOT / path).is_file()] == []


def test_every_name_of_the_core_has_a_floor() -> None:
    names = {path.removeprefix("sparsedet/").split("/")[0] for path in _listed() if "/" in path}
    core = {name.removesuffix(".py") for name in names if (ROOT / "sparsedet" / name).exists()}
    assert core - {""} == FLOORS.keys()


def test_the_core_imports_downwards_only() -> None:
    upwards = []
    for path in _sources("sparsedet"):
        own = path.relative_to(ROOT / "sparsedet").parts[0].removesuffix(".py")
        for name in _imports(path) if own in FLOORS else ():
            package, _, rest = name.partition(".")
            other = rest.split(".")[0]
            outside = other in ("cli", "integrations")
            above = other != own and FLOORS.get(other, -len(FLOORS)) >= FLOORS[own]
            if package == "sparsedet" and (outside or above):
                upwards.append(f"{own} -> {name}")
    assert upwards == []


@pytest.mark.parametrize("folder", ["cli", "integrations"])
def test_commands_and_integrations_meet_in_the_core_alone(folder: str) -> None:
    for path in _sources(folder):
        for name in _imports(path):
            assert not name.startswith(("sparsedet.cli", "sparsedet.integrations")), (path, name)


@pytest.mark.parametrize("folder", ["client", "labelling_config"])
def test_the_lowest_layers_of_label_studio_import_nothing_above(folder: str) -> None:
    for path in _sources(f"integrations/label_studio/{folder}"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not isinstance(node, ast.ImportFrom) or node.level < 2, (path, node.module)


def test_what_status_and_reports_need_comes_without_torch() -> None:
    """It takes seconds to import."""
    code = (
        "import sparsedet.loop.status, sparsedet.loop.standing, sys; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
