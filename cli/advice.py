"""What a command's error advises: what to do about the disk, and how this very command resumes."""

import errno
from collections.abc import Mapping, Sequence

from sparsedet.errors import StoppedRunError

_CAUSES: Mapping[int, str] = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room within your quota",
    errno.EFBIG: "raise the limit on the size of files",
    errno.EROFS: "choose a disk that can be written",
    errno.EACCES: "allow it",
    errno.EPERM: "allow it",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "close other programs, which have too many files open",
    errno.EIO: "check the disk",
}
"""Errors of the system -> what a person can do about them."""


def message(error: Exception, arguments: Sequence[str]) -> str:
    """Return what a command says of the error that ends it, on one line.

    Args:
        error: what was raised.
        arguments: what was typed after `sparsedet`.
    """
    if isinstance(error, StoppedRunError):
        return _one_line(f"{error}, then {_again(arguments)}")
    if isinstance(error, OSError) and error.strerror:
        said = ": ".join(str(part) for part in (error.filename, error.strerror) if part)
        if (cause := _CAUSES.get(error.errno or 0)) is not None:
            said += f"; {cause}, then {_again(arguments)}"
        return _one_line(said)
    return _one_line(str(error))


def _again(arguments: Sequence[str]) -> str:
    """Return how the command is called again: what it has done until now is kept."""
    name = next((word for word in arguments if not word.startswith("-")), "")
    if name == "train" and "--resume" not in arguments:
        return "call it again with --resume"
    return "call it again"


def _one_line(text: str) -> str:
    return " ".join(text.split())
