"""Whether torch's launcher started this process; known without importing torch."""

import os

_BY_US = "SPARSEDET_LAUNCHER"
_reports_errors: bool | None = None


def is_launched() -> bool:
    """Return whether torchrun, or a launcher that sets the same names, started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def is_first_launched() -> bool:
    """Return whether this is the only process, or the first of a launcher's."""
    return not is_launched() or os.environ["RANK"] == "0"


def local_processes() -> int:
    """Return how many processes the launcher has started on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if is_launched() else 1


def note_launch() -> None:
    """Let the processes that this one starts know that it reports an interruption for them."""
    os.environ[_BY_US] = "1"


def set_error_reporter(reports: bool) -> None:
    """Set whether this process, of all that an error ends, is the one that reports it."""
    global _reports_errors
    _reports_errors = reports


def reports_errors() -> bool:
    """Return whether this process reports the error that ends it.

    Before the processes are connected, those of a machine meet the same errors.
    """
    if _reports_errors is not None:
        return _reports_errors
    return not is_launched() or os.environ.get("LOCAL_RANK", os.environ["RANK"]) == "0"


def reports_interruption() -> bool:
    """Return whether this process reports that the command was interrupted."""
    return not is_launched() or (is_first_launched() and _BY_US not in os.environ)
