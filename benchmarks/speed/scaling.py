"""What a second process brings: steps of `plain` in one and in two processes on the same cores."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch

from sparsedet.errors import SparseDetError
from sparsedet.runtime import processes
from sparsedet.training.data.loader import batches
from sparsedet.training.engine.trainer import Trainer

from .data import SpeedData
from .trainer import SEED, configuration

SCRIPT = Path(__file__).parents[1] / "speed.py"
_LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


@dataclass(frozen=True)
class Layout:
    """How cores are used."""

    ranks: int
    threads: int
    """Of each process."""

    def __str__(self) -> str:
        """Name it as in the table."""
        return f"{_counted(self.ranks, 'process')} of {_counted(self.threads, 'thread')}"


ONE_CORE = Layout(1, 1)
LAYOUTS = (ONE_CORE, Layout(1, 2), Layout(2, 1))


def step_seconds(layout: Layout, data: Path, rounds: int) -> float:
    """Return the median seconds of a step of `plain`, the same batch in every layout."""
    command = [sys.executable, *_LAUNCHER, str(layout.ranks), str(SCRIPT), "--data", str(data)]
    command += ["--threads", str(layout.threads), "--rounds", str(rounds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SparseDetError(f"the run that measures {layout} failed")
    seconds: list[float] = json.loads(done.stdout.splitlines()[-1])["seconds"]
    return median(seconds)


def print_steps(data: SpeedData, threads: int, rounds: int, warm_up: int) -> None:
    """Take steps in this launcher's processes; the first one prints their seconds as JSON."""
    torch.set_num_threads(threads)
    cfg = configuration("plain", len(data.train.categories))
    images = data.training_images(cfg)
    with processes.process_group("cpu"):
        trainer = Trainer(cfg, SEED)
        trainer.start(None, 0)
        loader = batches(
            images,
            cfg,
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
    """Return the figures for the file of results."""
    return [{**asdict(layout), "seconds": value} for layout, value in seconds.items()]


def _counted(number: int, noun: str) -> str:
    plural = "es" if noun.endswith("s") else "s"
    return f"{number} {noun}{'' if number == 1 else plural}"
