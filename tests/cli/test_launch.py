"""`sparsedet train --num-gpus 2`: two processes, one voice, one error line, and a resume."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sparsedet.annotations import write_coco
from sparsedet.files import read_json
from sparsedet.scenes import make_scenes
from sparsedet.training.metrics import read_metrics
from tests.cli.command import sparsedet

TWO = ("--device", "cpu", "--num-gpus", "2", "--method", "plain")
KEYS = (
    *("SOLVER.MAX_ITER", "16", "SOLVER.IMS_PER_BATCH", "2", "SOLVER.WARMUP_ITERS", "2"),
    *("SOLVER.CHECKPOINT_PERIOD", "4"),
    *("INPUT.MIN_SIZE_TRAIN", "120", "INPUT.MAX_SIZE_TRAIN", "160"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_coco(make_scenes(8, root / "images", seed=1), root / "train.json")
    return root


def test_interrupted_together_and_resumed_a_run_is_evaluated(data: Path, tmp_path: Path) -> None:
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

    resumed = sparsedet(
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
            "the machines are 0 to 1",
        ),
        (["--num-gpus", "2", "--device", "cpu", "--train", "none.json"], "none.json: neither"),
        (
            ["--num-gpus", "2", "--device", "cpu", "SOLVER.IMS_PER_BATCH", "3"],
            "SOLVER.IMS_PER_BATCH is 3, which 2 processes can't share evenly",
        ),
    ],
)
def test_a_wrong_start_is_one_line(
    data: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    given = ["train", "-o", tmp_path / "run"]
    if "--train" not in options:
        given += ["--train", data / "train.json"]
    result = sparsedet(*given, *options)
    assert result.status == 1
    errors = [line for line in result.err.splitlines() if "error" in line]
    assert len(errors) == 1, result.err
    assert said in errors[0]
    assert "Traceback" not in result.err
