"""Numbers of threads and loader processes, and this process's memory.

Threads depend on the usable cores, loader processes also on their load. Load can't affect threads:
their number changes the last digits of losses, since convolutions choose their algorithm, and sums
their order, by it; and the same seed has to give the same losses. Waiting threads sleep (see
`sparsedet/__init__.py`), so that two trainings can share the cores. The number of loader processes
changes no batch.
"""

import os
import re
import resource
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil
import torch

from sparsedet.runtime.launched import local_processes

MAX_WORKERS = 8

_LOAD_SECONDS = 0.3
_OPEN_FILES = 65_536
"""Enough for the largest batches."""

_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
_PROCESS_STATUS = Path("/proc/self/status")
_BY_ENVIRONMENT = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_threads_at_import = torch.get_num_threads()


def usable_cores() -> int:
    """Return the number of usable cores: by affinity, and by the container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = cores or 1
    try:
        quota, period = _CPU_MAX.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def limit_threads() -> None:
    """Limit torch's threads to the usable cores: torch doesn't know about quotas.

    The user's settings take precedence: OMP_NUM_THREADS, MKL_NUM_THREADS, or torch's own.
    """
    current = torch.get_num_threads()
    chosen_by_user = current != _threads_at_import or any(map(os.environ.get, _BY_ENVIRONMENT))
    if not chosen_by_user and current > usable_cores():
        torch.set_num_threads(usable_cores())


@cache
def free_cores() -> int:
    """Return the number of usable cores that others leave free, at least one.

    Measured at the first call, while this process sleeps: later, a training would count its own
    load as that of others. A container's quota is a share of all cores, and is assumed to be as
    busy as they are.
    """
    cores = usable_cores()
    try:
        busy = psutil.cpu_percent(_LOAD_SECONDS, percpu=True)
    except OSError:
        busy = []
    if hasattr(os, "sched_getaffinity"):
        own = os.sched_getaffinity(0)
        busy = [load for core, load in enumerate(busy) if core in own]
    if not busy:
        return cores
    return max(1, round(cores * (1 - sum(busy) / len(busy) / 100)))


def choose_workers(image_bytes: int, cache_bytes: int, *, device: str) -> int:
    """Return the number of loader processes.

    None if all decoded images fit into the cache. Otherwise, for a GPU one per free core, at least
    one, so that it doesn't wait for every image; for a training on the CPU, whose threads use the
    cores already, one per four cores: on two cores a second process gained nothing, even with
    images of 8 megapixels.

    Args:
        image_bytes: size of all decoded images.
        cache_bytes: size of the cache.
        device: the training's device: cpu or cuda.
    """
    if image_bytes <= cache_bytes:
        return 0
    cores = free_cores() // local_processes()
    return min(MAX_WORKERS, cores // 4 if device == "cpu" else max(1, cores))


def allow_open_files() -> None:
    """Raise the limit on open files, as far as this user may.

    Loader processes pass each tensor as an open file, and the usual 1024 don't suffice for several
    large batches.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    with suppress(OSError, ValueError):
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def peak_memory(device: torch.device | str) -> int:
    """Return this process's peak memory so far, in bytes.

    On a GPU, the GPU memory of tensors; otherwise the process's resident memory.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        peak = re.search(r"^VmHWM:\s*(\d+) kB$", _PROCESS_STATUS.read_text(), re.MULTILINE)
    except OSError:
        peak = None
    if peak is not None:
        return int(peak.group(1)) * 2**10
    # Second choice: on Linux it starts from the parent process's memory.
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 2**10
