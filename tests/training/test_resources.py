"""Threads and loader processes: by the cores, and by what other processes leave of them."""

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from sparsedet.training import resources

GIB = 2**30


@pytest.fixture
def one_core() -> Iterator[None]:
    """Bind this process, and those that it starts, to one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    yield
    os.sched_setaffinity(0, cores)


def spin() -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        pass


@pytest.mark.usefixtures("one_core")
def test_the_affinity_counts() -> None:
    assert resources.usable_cores() == 1
    assert resources.free_cores() == 1


@pytest.mark.usefixtures("one_core")
def test_a_busy_process_takes_a_core() -> None:
    others = multiprocessing.get_context("spawn").Process(target=spin)
    others.start()
    try:
        deadline = time.monotonic() + 30
        while (busy := resources._busy_cores()) < resources._TAKEN and time.monotonic() < deadline:
            pass
        assert busy == pytest.approx(1, abs=0.25)
    finally:
        others.kill()
        others.join()


@pytest.mark.parametrize(
    ("busy", "free"), [(0.0, 4), (0.7, 4), (0.8, 3), (1.7, 3), (3.9, 1), (64.0, 1)]
)
def test_a_core_is_taken_when_it_is_mostly_busy(
    monkeypatch: pytest.MonkeyPatch, busy: float, free: int
) -> None:
    monkeypatch.setattr(resources, "usable_cores", lambda: 4)
    monkeypatch.setattr(resources, "_busy_cores", lambda: busy)
    assert resources.free_cores() == free


SET_BY_USERS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
CHOICE = """
import torch
from sparsedet.training import resources
resources.free_cores = lambda: 1
{change}
print(resources.choose_threads())
"""


@pytest.mark.parametrize(
    ("environment", "change", "expected"),
    [
        ({}, "", 1),
        ({"OMP_NUM_THREADS": "2"}, "", 2),
        ({"MKL_NUM_THREADS": "2"}, "", 2),
        ({}, "torch.set_num_threads(5)", 5),
    ],
)
def test_what_the_user_set_stays(environment: dict[str, str], change: str, expected: int) -> None:
    others = {name: value for name, value in os.environ.items() if name not in SET_BY_USERS}
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHOICE.format(change=change)],
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
        (8, 3 * GIB, "cpu", 1),
        (1, 3 * GIB, "cpu", 0),
        (4, 3 * GIB, "cuda", 4),
        (64, 3 * GIB, "cuda", 8),
    ],
)
def test_processes_load_what_the_cache_does_not_hold(
    monkeypatch: pytest.MonkeyPatch, cores: int, image_bytes: int, device: str, workers: int
) -> None:
    monkeypatch.setattr(resources, "usable_cores", lambda: cores)
    assert resources.choose_workers(image_bytes, 2 * GIB, device=device) == workers
