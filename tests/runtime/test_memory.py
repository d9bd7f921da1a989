"""Memory: that of a container, if it has a limit."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from sparsedet.runtime import memory

MIB = 2**20
GIB = 2**30


def group(folder: Path, version: int, limit: str | None, used: int = 0, stat: str = "") -> None:
    names = ("memory.max", "memory.current")
    if version == 1:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
    if limit is not None:
        (folder / names[0]).write_text(limit)
        (folder / names[1]).write_text(f"{used}\n")
        (folder / "memory.stat").write_text(stat)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    groups = (
        memory._Group(tmp_path, "memory.max", "memory.current"),
        memory._Group(tmp_path, "memory.limit_in_bytes", "memory.usage_in_bytes"),
    )
    monkeypatch.setattr(memory, "_GROUPS", groups)
    return tmp_path


@pytest.mark.parametrize(
    ("content", "limited"),
    [("1073741824\n", True), ("max\n", False), ("9223372036854771712", False), (None, False)],
)
def test_a_container_s_memory_counts(folder: Path, content: str | None, limited: bool) -> None:
    group(folder, 2, content)
    assert memory.usable_memory() == (GIB if limited else psutil.virtual_memory().total)


@pytest.mark.parametrize(
    ("version", "stat"),
    [
        (2, f"anon 5\nactive_file {100 * MIB}\ninactive_file {200 * MIB}\n"),
        (1, f"active_file 5\ntotal_active_file {100 * MIB}\ntotal_inactive_file {200 * MIB}\n"),
    ],
)
@pytest.mark.parametrize(("used", "free"), [(500, 824), (1500, 0)])
def test_a_container_s_free_memory_counts(
    folder: Path, version: int, stat: str, used: int, free: int
) -> None:
    """Its usage includes caches of files, which make room for programs."""
    group(folder, version, str(GIB), used * MIB, stat)
    assert memory.free_memory() == free * MIB


@pytest.mark.parametrize("stat", ["", "active_file", "active_file x"])
def test_without_the_caches_the_rest_counts(folder: Path, stat: str) -> None:
    group(folder, 2, str(GIB), 24 * MIB, stat)
    free = memory.free_memory()
    assert free == 1000 * MIB if not stat else free <= psutil.virtual_memory().total


def test_the_memory_is_known_without_torch() -> None:
    """The doctor looks at it where nothing else may be installed."""
    code = "import sys; import sparsedet.runtime.memory; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
