"""How many threads and loader processes a model takes, and how much memory it took.

Threads go by the cores that may be used, loader processes also by how busy these are. Load can't
decide about threads: their number changes losses in the last digits, as convolutions choose their
algorithm, and sums their order, by it; and the same seed shall give the same losses. Threads that
wait sleep (see `sparsedet/__init__.py`), so that two trainings can share the cores. The number of
loader processes changes no batch.
"""

import os
import re
import resource
import sys
from functools import cache
from pathlib import Path

import psutil
import torch

from sparsedet.runtime.launched import local_processes

MAX_WORKERS = 8

_LOAD_SECONDS = 0.3

_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
_PROCESS_STATUS = Path("/proc/self/status")
_BY_ENVIRONMENT = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_threads_at_import = torch.get_num_threads()


def usable_cores() -> int:
    """Return how many cores this process may use: its affinity, and its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = cores or 1
    try:
        quota, period = _CPU_MAX.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def limit_threads() -> None:
    """Let torch take no more threads than there are usable cores: a quota is unknown to it.

    What the user set stays: OMP_NUM_THREADS, MKL_NUM_THREADS, or torch's own setting.
    """
    current = torch.get_num_threads()
    chosen_by_user = current != _threads_at_import or any(map(os.environ.get, _BY_ENVIRONMENT))
    if not chosen_by_user and current > usable_cores():
        torch.set_num_threads(usable_cores())


@cache
def free_cores() -> int:
    """Return how many of the usable cores others leave free, at least one.

    Measured when it is first asked for, while this process sleeps: later, a training would count
    what it takes itself as the load of others. A container's quota is a share of all cores, and is
    taken to be as busy as they are.
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
    """Return how many processes should load images.

    None where all decoded images fit in the cache. Elsewhere a GPU gets one per free core, and one
    where none is left, so that it does not wait for every image; a training on the CPU, whose
    threads take the cores already, one for every four: on two cores one more process gained
    nothing, even with images of 8 megapixels.

    Args:
        image_bytes: what all images take decoded.
        cache_bytes: the bound of the cache.
        device: what the training runs on: cpu or cuda.
    """
    if image_bytes <= cache_bytes:
        return 0
    cores = free_cores() // local_processes()
    return min(MAX_WORKERS, cores // 4 if device == "cpu" else max(1, cores))


def peak_memory(device: torch.device | str) -> int:
    """Return the most memory that this process has taken so far, in bytes.

    On a GPU, of its memory what tensors took; elsewhere all resident memory of the process.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        peak = re.search(r"^VmHWM:\s*(\d+) kB$", _PROCESS_STATUS.read_text(), re.MULTILINE)
    except OSError:
        peak = None
    if peak is not None:
        return int(peak.group(1)) * 2**10
    # The second choice: on Linux it begins with the memory of the process that started this one.
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 2**10
