"""Threads and loader processes: by the cores that a process may use."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from sparsedet import resources

GIB = 2**30


@pytest.fixture
def one_core() -> Iterator[None]:
    """Bind this process, and those that it starts, to one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    yield
    os.sched_setaffinity(0, cores)


@pytest.mark.usefixtures("one_core")
def test_the_affinity_counts() -> None:
    assert resources.usable_cores() == 1


@pytest.mark.parametrize(
    ("content", "cores"),
    [("200000 100000", 2), ("50000 100000", 1), ("max 100000", 4), ("6400000 100000", 4), ("", 4)],
)
def test_a_container_s_quota_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3})
    monkeypatch.setattr(resources, "_CPU_MAX", tmp_path / "cpu.max")
    assert resources.usable_cores() == 4
    (tmp_path / "cpu.max").write_text(content + "\n")
    assert resources.usable_cores() == cores


def test_the_peak_of_memory_stays_when_memory_is_given_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    size = 200 * 2**20
    taken = int(re.findall(r"VmRSS:\s*(\d+)", Path("/proc/self/status").read_text())[0]) * 2**10
    block = np.ones(size, dtype=np.uint8)
    peak = resources.peak_memory("cpu")
    assert peak > taken + 0.9 * block.nbytes
    del block
    # The kernel counts in portions.
    assert resources.peak_memory("cpu") >= 0.99 * peak
    # What is asked on systems without such a file.
    monkeypatch.setattr(resources, "_PROCESS_STATUS", tmp_path / "nothing")
    assert resources.peak_memory("cpu") >= 0.9 * peak
    (tmp_path / "nothing").write_text("VmHWM:\t  2048 kB\n")
    assert resources.peak_memory(torch.device("cpu")) == 2 * 2**20


SET_BY_USERS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
LIMIT = """
import torch
torch.set_num_threads(4)
from sparsedet import resources
resources.usable_cores = lambda: 1
{change}
resources.limit_threads()
resources.limit_threads()
print(torch.get_num_threads())
"""


@pytest.mark.parametrize(
    ("environment", "change", "expected"),
    [
        ({}, "", 1),
        ({}, "resources.usable_cores = lambda: 64", 4),
        ({"OMP_NUM_THREADS": "2"}, "", 4),
        ({"MKL_NUM_THREADS": "2"}, "", 4),
        ({}, "torch.set_num_threads(5)", 5),
    ],
)
def test_what_the_user_set_stays(environment: dict[str, str], change: str, expected: int) -> None:
    others = {name: value for name, value in os.environ.items() if name not in SET_BY_USERS}
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LIMIT.format(change=change)],
        env=others | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    assert int(printed) == expected


@pytest.mark.parametrize(
    ("cores", "image_bytes", "device", "workers"),
    [
        (8, 2 * GIB, "cpu", 0),
        (8, 2 * GIB, "cuda", 0),
        (8, 3 * GIB, "cpu", 2),
        (64, 3 * GIB, "cpu", 8),
        (2, 3 * GIB, "cpu", 0),
        (4, 3 * GIB, "cuda", 4),
        (64, 3 * GIB, "cuda", 8),
    ],
)
def test_processes_load_what_the_cache_does_not_hold(
    monkeypatch: pytest.MonkeyPatch, cores: int, image_bytes: int, device: str, workers: int
) -> None:
    monkeypatch.setattr(resources, "usable_cores", lambda: cores)
    assert resources.choose_workers(image_bytes, 2 * GIB, device=device) == workers
