"""The launcher of several processes: what it says when one of them can't say anything."""

import signal
import subprocess
import sys

import pytest
import torch.distributed.launcher.api as launcher
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from sparsedet.cli.commands.train import Launch, launch
from sparsedet.errors import TrainingError

INTERRUPTED = """
import atexit, os
import torch.distributed.launcher.api as launcher
from sparsedet.cli.commands.train import Launch, launch

def interrupted(*_arguments):
    print("last words")
    raise KeyboardInterrupt

atexit.register(os.abort)  # as threads of torch's store may do while the interpreter exits
launcher.elastic_launch = lambda config, entrypoint: interrupted
launch(Launch(2, 1, 0, "auto"))
"""
KILLED, TERMINATED = -signal.SIGKILL, -signal.SIGTERM


def launch_with(monkeypatch: pytest.MonkeyPatch, codes: list[int]) -> None:
    """Launch processes that end with these exit statuses."""
    for name in ("SPARSEDET_LAUNCHER", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    failures = {
        rank: ProcessFailure(local_rank=rank, pid=1, exitcode=code, error_file="")
        for rank, code in enumerate(codes)
    }

    def fail(*_arguments: str) -> None:
        raise ChildFailedError("python", failures)

    monkeypatch.setattr(launcher, "elastic_launch", lambda config, entrypoint: fail)
    launch(Launch(2, 1, 0, "auto"))


@pytest.mark.parametrize("codes", [[KILLED], [TERMINATED, KILLED]])
def test_a_killed_process_is_reported_for_it(
    monkeypatch: pytest.MonkeyPatch, codes: list[int]
) -> None:
    with pytest.raises(TrainingError, match=r"was killed, most likely because memory ran out"):
        launch_with(monkeypatch, codes)


@pytest.mark.parametrize(("codes", "status"), [([3], 3), ([KILLED, 1], 1), ([TERMINATED], 1)])
def test_others_have_reported_their_errors(
    monkeypatch: pytest.MonkeyPatch, codes: list[int], status: int
) -> None:
    with pytest.raises(SystemExit) as end:
        launch_with(monkeypatch, codes)
    assert end.value.code == status


def test_an_interrupted_launcher_is_not_aborted_while_it_exits() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", INTERRUPTED],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "last words\n", "")
