"""An error's advice fits the command that failed."""

import errno
import os

import pytest

from sparsedet.cli.advice import message
from sparsedet.errors import SparseDetError, StoppedRunError

FULL = StoppedRunError("model.pth: can't be written; free up space")


@pytest.mark.parametrize(
    ("arguments", "end"),
    [
        (["round", "work"], "free up space, then run it again"),
        (["--debug", "demo"], "free up space, then run it again"),
        (["train", "-o", "run"], "free up space, then run it again with --resume"),
        (["train", "--resume", "-o", "run"], "free up space, then run it again"),
    ],
)
def test_each_command_resumes_in_its_own_way(arguments: list[str], end: str) -> None:
    assert message(FULL, arguments) == f"model.pth: can't be written; {end}"
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a.json")
    assert message(full, arguments) == f"a.json: No space left on device; {end}"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EDQUOT, "within your quota"),
        (errno.EROFS, "use a writable disk"),
        (errno.EACCES, "check the permissions"),
        (errno.EMFILE, r"ulimit -n"),
        (errno.ENOTDIR, "choose a path that does not lead through a file"),
    ],
)
def test_causes_are_known(number: int, said: str) -> None:
    found = message(OSError(number, os.strerror(number)), ["push"])
    assert found.startswith(os.strerror(number))
    assert said in found


def test_others_are_said_as_they_are() -> None:
    assert message(SparseDetError("a\n b"), ["push"]) == "a b"
    assert message(OSError("odd"), ["push"]) == "odd"
    missing = FileNotFoundError(errno.ENOENT, "No such file or directory", "x.toml")
    assert message(missing, ["push"]) == "x.toml: No such file or directory"
