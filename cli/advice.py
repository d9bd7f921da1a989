"""Advice appended to errors: what to do about the disk, and how to resume the command."""

import errno
from collections.abc import Mapping, Sequence

from sparsedet.errors import StoppedRunError

_CAUSES: Mapping[int, str] = {
    errno.ENOSPC: "free up space",
    errno.EDQUOT: "free up space within your quota",
    errno.EFBIG: "raise the file size limit",
    errno.EROFS: "use a writable disk",
    errno.EACCES: "check the permissions",
    errno.EPERM: "check the permissions",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "close programs that hold many open files",
    errno.EIO: "check the disk",
    errno.ENOTDIR: "choose a path that does not lead through a file",
}
"""errno -> what the user can do about it."""


def message(error: Exception, arguments: Sequence[str]) -> str:
    """Return the one-line message for an error that ended a command.

    Args:
        error: the exception.
        arguments: the command line after `sparsedet`.
    """
    if isinstance(error, StoppedRunError):
        return _one_line(f"{error}, then {_again(arguments)}")
    if isinstance(error, MemoryError):
        detail = f" ({error})" if str(error) else ""
        remedy = "close other programs, or raise the limits on it"
        return _one_line(f"not enough memory{detail}; {remedy}, then {_again(arguments)}")
    if isinstance(error, OSError) and error.strerror:
        said = ": ".join(str(part) for part in (error.filename, error.strerror) if part)
        if (cause := _CAUSES.get(error.errno or 0)) is not None:
            said += f"; {cause}, then {_again(arguments)}"
        return _one_line(said)
    return _one_line(str(error))


def _again(arguments: Sequence[str]) -> str:
    """Return how to run the command again; finished work is kept."""
    name = next((word for word in arguments if not word.startswith("-")), "")
    if name == "train" and "--resume" not in arguments:
        return "run it again, with --resume if the run folder exists"
    return "run it again"


def _one_line(text: str) -> str:
    return " ".join(text.split())
