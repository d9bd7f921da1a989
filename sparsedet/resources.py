"""How many threads and loader processes a model takes, by the cores that it may use.

How busy they are does not count. The number of threads changes losses in their last digits:
convolutions choose their algorithm, and sums their order, by it; and the same seed shall give the
same losses. Threads that wait sleep (see `sparsedet/__init__.py`), so that two trainings share the
cores without standing in each other's way.
"""

import os
from pathlib import Path

import torch

MAX_WORKERS = 8

_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
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


def choose_workers(image_bytes: int, cache_bytes: int, *, device: str) -> int:
    """Return how many processes should load images.

    None where all decoded images fit in the cache. Elsewhere a GPU gets one per core; a training on
    the CPU, whose threads take the cores already, one for every four: on two cores a process beside
    it gained nothing, even with images of 8 megapixels.

    Args:
        image_bytes: what all images take decoded.
        cache_bytes: the bound of the cache.
        device: what the training runs on: cpu or cuda.
    """
    if image_bytes <= cache_bytes:
        return 0
    cores = usable_cores()
    return min(MAX_WORKERS, cores // 4 if device == "cpu" else cores)
