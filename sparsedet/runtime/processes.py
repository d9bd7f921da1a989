"""Data-parallel training: processes of torch's launcher work on one run together.

Every process holds the whole model and a share of each batch. Without the launcher there is a
single process: it is the first, and its sums are the totals.
"""

import copyreg
import inspect
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from types import MappingProxyType
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from sparsedet.errors import SparseDetError, TrainingError
from sparsedet.runtime.launched import is_launched, local_processes, set_error_reporter

_TIMEOUT = timedelta(hours=2)
"""How long a process waits for the others, such as while the first one downloads weights."""
_REPORT_SECONDS = 1.0
"""How long the others wait for the process that reports an error: the launcher ends all processes
as soon as one has ended."""
_LOST = ("Connection closed", "Connection reset", "Broken pipe", "Timed out")

Value = TypeVar("Value")


def _read_only(content: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(content)


# Datasets, which processes send each other, have such mappings; Python itself pickles none.
copyreg.pickle(MappingProxyType, lambda mapping: (_read_only, (dict(mapping),)))


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """Join the launcher's other processes, if there are any; leave them at the end.

    An error in one process, or in all of them, ends them all; the first one to fail reports it.

    Args:
        device: cpu or cuda; on cuda every process of a machine takes its own device.

    Raises:
        TrainingError: when there are fewer devices than processes, or when another process ended.
    """
    if not is_launched():
        yield
        return
    if device == "cuda":
        devices = torch.cuda.device_count()
        if local_processes() > devices:
            # Raised in all of them: none may wait for the others.
            raise TrainingError(
                f"{local_processes()} processes for {devices} CUDA devices; "
                "start one process per device"
            )
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    # torch logs the start and end of a process group, in every process.
    logging.getLogger("torch.distributed").setLevel(logging.ERROR)
    backend = "nccl" if device == "cuda" else "gloo"
    store: Any = None
    try:
        store, own, count = _meet()
        dist.init_process_group(backend, store=store, rank=own, world_size=count, timeout=_TIMEOUT)
        yield
    except (SparseDetError, OSError):
        _choose_error_reporter(store)
        raise
    except RuntimeError as error:
        if not _is_lost_peer(error):
            raise
        _choose_error_reporter(store)
        raise TrainingError("another process of this run has ended, or can't be reached") from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _meet() -> tuple[Any, int, int]:
    """Return the processes' key-value store, the rank of this one, and their number.

    Raises:
        TrainingError: when the environment names no place to meet.
    """
    try:
        met: tuple[Any, int, int] = next(rendezvous("env://", timeout=_TIMEOUT))
    except ValueError as error:
        raise TrainingError(
            f"RANK and WORLD_SIZE are set, as by torchrun, but the processes can't meet ({error}); "
            "start them with torchrun, or unset both"
        ) from error
    return met


def _choose_error_reporter(store: Any) -> None:
    """Let the first failing process report the error.

    Args:
        store: the processes' key-value store, apart from the group, which fails with one of them;
            None: they are not connected yet.
    """
    try:
        reports = store is None or store.add("sparsedet/ended", 1) == 1
    except RuntimeError:
        # The process that hosted the store is gone.
        reports = True
    set_error_reporter(reports)
    if not reports:
        time.sleep(_REPORT_SECONDS)


def rank() -> int:
    """Return the rank of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def ranks() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def local_ranks() -> int:
    """Return the number of processes on this machine."""
    return local_processes() if ranks() > 1 else 1


def is_first() -> bool:
    """Return whether this is the process that writes files and reports progress."""
    return rank() == 0


def barrier() -> None:
    """Wait for all processes (a barrier)."""
    if ranks() > 1:
        dist.barrier()


def total(number: float, device: torch.device) -> float:
    """Return the sum of a number over all processes, all of which have to call this."""
    if ranks() == 1:
        return number
    value = torch.tensor(number, dtype=torch.float64, device=device)
    dist.all_reduce(value)
    return float(value.item())


def share(count: int, device: torch.device) -> float:
    """Return the weight of a mean over `count` local rows in the mean over all rows.

    Gradients are averaged over the processes. With each local mean loss times this weight, they are
    those of the mean over all rows, however these are distributed.
    """
    if ranks() == 1:
        return 1.0
    return ranks() * count / max(total(count, device), 1)


def mean(values: Sequence[float], device: torch.device) -> list[float]:
    """Return the mean of each value over all processes."""
    if ranks() == 1:
        return list(values)
    summed = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(summed)
    result: list[float] = (summed / ranks()).tolist()
    return result


def any_true(flag: bool, device: torch.device) -> bool:
    """Return whether the flag is set in any process."""
    return total(float(flag), device) > 0


def gather(value: Value) -> list[Value]:
    """Return every process's value, in rank order."""
    if ranks() == 1:
        return [value]
    values: list[Any] = [None] * ranks()
    dist.all_gather_object(values, value)
    return values


def parallel(model: nn.Module) -> DistributedDataParallel:
    """Return a model whose backward pass averages the gradients over all processes."""
    # Buffers are equal everywhere and don't change; torch renamed the option for that.
    known = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    options: dict[str, Any] = {name: False}
    # A backbone may have layers that its features don't use: they get no gradient.
    return DistributedDataParallel(model, find_unused_parameters=True, **options)


def first_does(action: Callable[[], Value]) -> Value:
    """Run something in the first process only; the others wait for its result.

    A user error is raised in the first process; the others exit with status 1.
    """
    if ranks() == 1:
        return action()
    outcome: list[Any] = [None, False]
    error: Exception | None = None
    if is_first():
        try:
            outcome = [action(), True]
        except (SparseDetError, OSError) as raised:
            error = raised
    dist.broadcast_object_list(outcome)
    if error is not None:
        raise error
    if not outcome[1]:
        time.sleep(_REPORT_SECONDS)
        sys.exit(1)
    value: Value = outcome[0]
    return value


def _is_lost_peer(error: RuntimeError) -> bool:
    """Return whether a process waited for one that is gone: gloo has no error class for it."""
    if isinstance(error, dist.DistError):
        return True
    message = str(error)
    return any(words in message for words in _LOST)
