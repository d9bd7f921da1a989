"""Threads and loader processes by usable cores."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from sparsedet.runtime import resources

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


LIMITS = """
import importlib, json, os, sys
import torch
from sparsedet.runtime import resources

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.pop(name, None)
found = []
for variable, cores, threads in json.loads(sys.argv[1]):
    # As in a process that begins with four threads.
    torch.set_num_threads(4)
    importlib.reload(resources)
    resources.usable_cores = lambda: cores
    if variable:
        os.environ[variable] = "2"
    if threads:
        torch.set_num_threads(threads)
    resources.limit_threads()
    resources.limit_threads()
    found.append(torch.get_num_threads())
    os.environ.pop(variable, None)
print(json.dumps(found))
"""


def test_what_the_user_set_stays() -> None:
    """In a process of its own, whose number of threads is nobody else's."""
    cases = [
        # A variable that is set, usable cores, what the user sets in Python -> threads.
        (("", 1, 0), 1),
        (("", 64, 0), 4),
        (("OMP_NUM_THREADS", 1, 0), 4),
        (("MKL_NUM_THREADS", 1, 0), 4),
        (("", 1, 5), 5),
    ]
    given = json.dumps([case for case, _ in cases])
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LIMITS, given],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    assert json.loads(printed) == [expected for _, expected in cases]


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
    monkeypatch.setattr(resources, "free_cores", lambda: cores)
    assert resources.choose_workers(image_bytes, 2 * GIB, device=device) == workers


@pytest.mark.parametrize(
    ("free", "device", "workers"), [(8, "cuda", 4), (1, "cuda", 1), (8, "cpu", 1), (6, "cpu", 0)]
)
def test_processes_of_one_machine_share_its_free_cores(
    monkeypatch: pytest.MonkeyPatch, free: int, device: str, workers: int
) -> None:
    monkeypatch.setattr(resources, "free_cores", lambda: free)
    monkeypatch.setattr(resources, "local_processes", lambda: 2)
    assert resources.choose_workers(3 * GIB, 2 * GIB, device=device) == workers


@pytest.fixture
def measured_again() -> Iterator[None]:
    resources.free_cores.cache_clear()
    yield
    resources.free_cores.cache_clear()


@pytest.mark.usefixtures("measured_again")
@pytest.mark.parametrize(
    ("quota", "busy", "free"),
    [
        (4, [0, 0, 0, 0, 100, 100, 100, 100], 4),
        (4, [100, 100, 0, 0, 0, 0, 0, 0], 2),
        (4, [90, 90, 90, 90, 0, 0, 0, 0], 1),
        (4, [100, 100, 100, 100, 0, 0, 0, 0], 1),
        (2, [50, 50, 50, 50, 0, 0, 0, 0], 1),
        # Nothing could be measured.
        (3, [], 3),
    ],
)
def test_only_cores_that_others_leave_free_get_a_process(
    monkeypatch: pytest.MonkeyPatch, quota: int, busy: list[float], free: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3})
    monkeypatch.setattr(resources, "usable_cores", lambda: quota)
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval, percpu: busy)
    assert resources.free_cores() == free
    workers = resources.choose_workers(3 * GIB, 2 * GIB, device="cuda")
    assert workers == free


@pytest.mark.usefixtures("measured_again", "one_core")
def test_a_process_on_the_same_core_is_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "usable_cores", lambda: 8)
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            loaded = resources.free_cores()
            # What is measured once stays: a training would count itself.
            monkeypatch.setattr(psutil, "cpu_percent", lambda interval, percpu: [0.0] * 64)
            assert resources.free_cores() == loaded < 4
        finally:
            other.kill()
