"""`sparsedet train --num-gpus 2`: two processes, one output, one error line, and a resume."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from sparsedet.annotations import write_coco
from sparsedet.atomic_io import read_json
from sparsedet.simulation.scenes import make_scenes
from sparsedet.training.engine.metrics import read_metrics
from tests.cli.command import Result, sparsedet_here

TWO = ("--device", "cpu", "--num-gpus", "2", "--method", "plain")
KEYS = (
    *("SOLVER.MAX_ITER", "16", "SOLVER.IMS_PER_BATCH", "2", "SOLVER.WARMUP_ITERS", "2"),
    *("SOLVER.CHECKPOINT_PERIOD", "4"),
    *("INPUT.MIN_SIZE_TRAIN", "120", "INPUT.MAX_SIZE_TRAIN", "160"),
)


SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


class Launched(Protocol):
    def __call__(self, *arguments: str | Path) -> Result: ...


@pytest.fixture
def launched(capfd: pytest.CaptureFixture[str]) -> Iterator[Launched]:
    """`sparsedet`, whose launcher runs in this process, which has imported torch; its processes,
    and what they write, are real.
    """
    handlers = {number: signal.getsignal(number) for number in SIGNALS}

    def run(*arguments: str | Path) -> Result:
        capfd.readouterr()
        own = sparsedet_here(*arguments)
        theirs = capfd.readouterr()
        return Result(own.status, own.out + theirs.out, own.err + theirs.err)

    yield run
    # torch's launcher leaves its own.
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_coco(make_scenes(8, root / "images", seed=1), root / "train.json")
    return root


def test_interrupted_together_and_resumed_a_run_is_evaluated(
    data: Path, tmp_path: Path, launched: Launched
) -> None:
    run = tmp_path / "run"
    command = ["train", "--train", data / "train.json", "-o", run, *TWO, *KEYS]
    process = subprocess.Popen(
        [sys.executable, "-m", "sparsedet", *map(str, command)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # The launcher is interrupted together with its processes, as by Ctrl-C in a terminal.
    while process.poll() is None and not (run / "checkpoints/plain.pth").exists():
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert said.count("--resume") == 1
    assert "in 2 processes" in said
    assert "Traceback" not in said
    assert not (run / "model.pth").exists()

    resumed = launched(
        "train", "--resume", "-o", run, "--device", "cpu", "--num-gpus", "2",
        "--val", data / "train.json", "--json",
    )  # fmt: skip
    assert resumed.status == 0, resumed.err
    assert resumed.json()["evaluation"]["images"] == 8
    assert read_json(run / "evaluation.json") == resumed.json()["evaluation"]
    assert read_metrics(run / "metrics.json")[-1]["iteration"] == 16


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--num-machines", "2"], "--num-machines 2 needs --dist-url tcp://HOST:PORT"),
        (["--num-machines", "2", "--dist-url", "host:1"], "expected tcp://HOST:PORT"),
        (
            ["--num-machines", "2", "--machine-rank", "2", "--dist-url", "tcp://host:1"],
            "--machine-rank 2: expected 0 to 1",
        ),
        (
            ["--num-gpus", "2", "--device", "cpu", "SOLVER.IMS_PER_BATCH", "3"],
            "SOLVER.IMS_PER_BATCH is 3, which 2 processes can't share evenly",
        ),
    ],
)
def test_a_wrong_start_is_one_line(
    data: Path, tmp_path: Path, options: list[str], said: str, launched: Launched
) -> None:
    result = launched("train", "-o", tmp_path / "run", "--train", data / "train.json", *options)
    assert said in one_error(result)


def one_error(result: Result) -> str:
    """Return the one line that all the processes of a failed command say of it."""
    assert result.status == 1, result.err
    assert "Traceback" not in result.err
    errors = [line for line in result.err.splitlines() if "error" in line]
    assert len(errors) == 1, result.err
    return errors[0]


def test_a_rate_that_diverges_is_one_line_about_all_processes(
    data: Path, tmp_path: Path, launched: Launched
) -> None:
    keys = ["SOLVER.BASE_LR", "1e12", "SOLVER.WARMUP_ITERS", "0"]
    train = ("train", "-o", tmp_path / "run", "--train", data / "train.json")
    said = one_error(launched(*train, *TWO, *KEYS, *keys))
    assert re.search(r"not finite at iteration \d+ \(.*loss_cls .*image ids \d+, \d+\)", said)


def test_what_ends_one_process_is_told_by_that_one(
    data: Path, tmp_path: Path, launched: Launched
) -> None:
    images = tmp_path / "images"
    shutil.copytree(data / "images", images)
    broken = sorted(images.iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:200])
    train = ("train", "-o", tmp_path / "run", "--train", data / "train.json", "--images", images)
    said = one_error(launched(*train, *TWO, *KEYS, "DATALOADER.MAX_UNREADABLE", "0"))
    assert broken.name in said
    assert "can't be decoded" in said
