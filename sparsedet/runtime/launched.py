"""Detect torch's launcher, without importing torch."""

import os

_BY_US = "SPARSEDET_LAUNCHER"
_reports_errors: bool | None = None


def is_launched() -> bool:
    """Return whether torchrun, or a launcher with the same variables, started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def is_first_launched() -> bool:
    """Return whether this is the only process, or the launcher's first."""
    return not is_launched() or os.environ["RANK"] == "0"


def local_processes() -> int:
    """Return the number of processes started by the launcher on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if is_launched() else 1


def note_launch() -> None:
    """Make child processes leave the report of an interruption to this one."""
    os.environ[_BY_US] = "1"


def set_error_reporter(reports: bool) -> None:
    """Set whether this process reports an error that ends all processes."""
    global _reports_errors
    _reports_errors = reports


def reports_errors() -> bool:
    """Return whether this process reports the error that ends it.

    Before the processes are connected, all of a machine hit the same errors.
    """
    if _reports_errors is not None:
        return _reports_errors
    return not is_launched() or os.environ.get("LOCAL_RANK", os.environ["RANK"]) == "0"


def reports_interruption() -> bool:
    """Return whether this process reports an interruption."""
    return not is_launched() or (is_first_launched() and _BY_US not in os.environ)
