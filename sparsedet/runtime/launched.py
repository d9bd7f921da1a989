"""Whether torch's launcher started this process; known without importing torch."""

import os

_BY_US = "SPARSEDET_LAUNCHER"
_speaks_of_errors: bool | None = None


def is_launched() -> bool:
    """Tell whether this is one of a launcher's processes: torchrun, or one that sets its names."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def is_first_launched() -> bool:
    """Tell whether this is the only process, or the first of a launcher's."""
    return not is_launched() or os.environ["RANK"] == "0"


def local_processes() -> int:
    """Return how many processes the launcher has started on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if is_launched() else 1


def note_launch() -> None:
    """Tell the processes that this one starts that it will speak for them in the end."""
    os.environ[_BY_US] = "1"


def note_speaker(speaks: bool) -> None:
    """Tell which of the processes that an error ends is the one that says so."""
    global _speaks_of_errors
    _speaks_of_errors = speaks


def speaks_of_errors() -> bool:
    """Tell whether this process tells people about the error that ends it.

    Before the processes have met, those of a machine come upon the same ones.
    """
    if _speaks_of_errors is not None:
        return _speaks_of_errors
    return not is_launched() or os.environ.get("LOCAL_RANK", os.environ["RANK"]) == "0"


def speaks_of_the_end() -> bool:
    """Tell whether this process tells people that the command was interrupted."""
    return not is_launched() or (is_first_launched() and _BY_US not in os.environ)
