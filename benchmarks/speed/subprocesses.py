"""Measurements in separate processes: peak memory, and steps in one and two processes."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch

from sparsedet.config.training_config import load_config
from sparsedet.errors import SparseDetError
from sparsedet.modeling import checkpoint
from sparsedet.run_folder import RunFolder
from sparsedet.runtime import processes
from sparsedet.training.data.loader import batches
from sparsedet.training.data.pseudo_labels import PseudoLabels
from sparsedet.training.engine.callbacks import Callbacks
from sparsedet.training.engine.train import run_training, start_run
from sparsedet.training.engine.trainer import Trainer

from .timed_training import SEED, SpeedData, configuration

SCRIPT = Path(__file__).parents[1] / "speed.py"
IMAGES = 64
"""Number of training images in the run, so that mining them takes seconds."""
_LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


@dataclass(frozen=True)
class Memory:
    """Resident memory of a training process, in MiB."""

    built: float
    """After building the model."""
    peak: float
    minings: int
    """Number of times that training images were mined."""

    @property
    def above(self) -> float:
        """Memory of training beyond the model."""
        return self.peak - self.built


def memory_of(method: str, data: Path, weights: Path, iterations: int) -> Memory:
    """Train from `weights` for some iterations in a new process; return its memory."""
    command = [str(SCRIPT), "--data", str(data), "--memory-of", method]
    command += ["--weights", str(weights), "--memory-iterations", str(iterations)]
    return Memory(**_printed_by(command, f"the memory of {method}"))


def print_memory(method: str, data: SpeedData, weights: Path, iterations: int) -> None:
    """Train in this process, and print its memory as JSON."""
    model = checkpoint.build(configuration(method, len(data.train.categories)).node)
    built = _mebibytes("VmRSS")
    # The run builds its own.
    del model
    config = load_config("lite0_fpn").with_values(
        {
            "MODEL.WEIGHTS": str(weights),
            "SOLVER.MAX_ITER": iterations,
            "SPARSEDET.PSEUDO_POSITIVES.START_ITER": 0,
            "SPARSEDET.STAGED.MIN_ITER": 0,
            "SPARSEDET.STAGED.MIN_MISSING": 0.0,
        }
    )
    minings: list[PseudoLabels] = []
    with TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "run")
        start_run(
            config,
            run,
            data.train.with_images(data.train.images[:IMAGES]),
            data.images,
            source=Path(data.name),
            method=method,
            seed=SEED,
            device="cpu",
        )
        run_training(run, callbacks=Callbacks(on_mined=minings.append))
    print(json.dumps(asdict(Memory(built, _mebibytes("VmHWM"), len(minings)))))


def _mebibytes(field: str) -> float:
    """Return a field of this process's status file in Linux, which is in kibibytes."""
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.M)
    assert found is not None, field
    return int(found[1]) / 1024


@dataclass(frozen=True)
class Layout:
    """Processes and threads on the same cores."""

    ranks: int
    threads: int
    """Per process."""

    def __str__(self) -> str:
        """Name in the table."""
        return f"{_counted(self.ranks, 'process')} of {_counted(self.threads, 'thread')}"


ONE_CORE = Layout(1, 1)
LAYOUTS = (ONE_CORE, Layout(1, 2), Layout(2, 1))


def step_seconds(layout: Layout, data: Path, rounds: int) -> float:
    """Return the median seconds of a step of `plain`, with the same batch in every layout."""
    command = [*_LAUNCHER, str(layout.ranks), str(SCRIPT), "--data", str(data)]
    command += ["--threads", str(layout.threads), "--rounds", str(rounds)]
    seconds: list[float] = _printed_by(command, str(layout))["seconds"]
    return median(seconds)


def print_steps(data: SpeedData, threads: int, rounds: int, warm_up: int) -> None:
    """Take steps in the launched processes; the first one prints their seconds as JSON."""
    torch.set_num_threads(threads)
    config = configuration("plain", len(data.train.categories))
    images = data.training_images(config)
    with processes.process_group("cpu"):
        trainer = Trainer(config, SEED)
        trainer.start(None, 0)
        loader = batches(
            images,
            config,
            seed=SEED,
            start=0,
            end=warm_up + rounds,
            rank=processes.rank(),
            ranks=processes.ranks(),
        )
        seconds = []
        for batch in loader:
            start = time.perf_counter()
            trainer.step(batch)
            processes.barrier()
            seconds.append(time.perf_counter() - start)
        if processes.is_first():
            print(json.dumps({"seconds": seconds[warm_up:]}), flush=True)


def as_json(seconds: Mapping[Layout, float]) -> list[dict[str, float]]:
    """Return the figures for the results file."""
    return [{**asdict(layout), "seconds": value} for layout, value in seconds.items()]


def _printed_by(arguments: Sequence[str], what: str) -> dict[str, Any]:
    """Run Python with these arguments; return the JSON in the last line of its output."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SparseDetError(f"the run that measures {what} failed")
    content: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return content


def _counted(number: int, noun: str) -> str:
    plural = "es" if noun.endswith("s") else "s"
    return f"{number} {noun}{'' if number == 1 else plural}"
