"""An error's advice fits the command that failed."""

import errno
import os
from pathlib import Path
from typing import Never

import numpy as np
import pytest

from sparsedet.cli.advice import message
from sparsedet.errors import SparseDetError, StoppedRunError
from tests.cli.command import sparsedet_here

FULL = StoppedRunError("model.pth: can't be written; free up space")


@pytest.mark.parametrize(
    ("arguments", "end"),
    [
        (["round", "work"], "free up space, then run it again"),
        (["--debug", "demo"], "free up space, then run it again"),
        (
            ["train", "-o", "run"],
            "free up space, then run it again, with --resume if the run folder exists",
        ),
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


@pytest.mark.parametrize("needed", [0, 1 << 60])
def test_a_lack_of_memory_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, needed: int
) -> None:
    def inspect(*given: object, **options: object) -> Never:
        np.zeros(needed or 1, np.uint8)
        raise MemoryError

    monkeypatch.setattr("sparsedet.inspection.inspect_data", inspect)
    said = sparsedet_here("inspect", tmp_path).error()
    assert said.startswith("not enough memory")
    assert said.endswith("raise the limits on it, then run it again")
    assert ("allocate" in said) == bool(needed)
