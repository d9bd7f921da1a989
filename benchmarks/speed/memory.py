"""Peak memory of short runs, each in a process of its own."""

import json
import re
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from sparsedet.annotations import Dataset
from sparsedet.errors import SparseDetError
from sparsedet.modeling import checkpoint
from sparsedet.training.config.loading import load_config
from sparsedet.training.data.pseudo_labels import PseudoLabels
from sparsedet.training.engine.callbacks import Callbacks
from sparsedet.training.engine.train import run_training, start_run
from sparsedet.training.run_folder import RunFolder

from .data import SpeedData
from .trainer import SEED, configuration

SCRIPT = Path(__file__).parents[1] / "speed.py"
IMAGES = 64
"""Of the training images, so that mining them takes seconds."""


@dataclass(frozen=True)
class Memory:
    """Resident memory of a training process, in MiB."""

    built: float
    """After building the model."""
    peak: float
    minings: int
    """How often the training images were mined."""

    @property
    def above(self) -> float:
        """What training takes beyond the model."""
        return self.peak - self.built


def memory_of(method: str, data: Path, weights: Path, iterations: int) -> Memory:
    """Train from `weights` for some iterations in a new process; return what it took."""
    command = [sys.executable, str(SCRIPT), "--data", str(data), "--memory-of", method]
    command += ["--weights", str(weights), "--memory-iterations", str(iterations)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SparseDetError(f"the run that measures the memory of {method} failed")
    return Memory(**json.loads(done.stdout.splitlines()[-1]))


def print_memory(method: str, data: SpeedData, weights: Path, iterations: int) -> None:
    """Train in this process, and print its memory as JSON."""
    built = _built(method, len(data.train.categories))
    cfg = load_config("lite0_fpn")
    cfg.MODEL.WEIGHTS = str(weights)
    cfg.SOLVER.MAX_ITER = iterations
    cfg.SPARSEDET.PSEUDO_POSITIVES.START_ITER = 0
    cfg.SPARSEDET.STAGED.MIN_ITER = 0
    cfg.SPARSEDET.STAGED.MIN_MISSING = 0.0
    minings: list[PseudoLabels] = []
    with TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "run")
        start_run(
            cfg,
            run,
            _first_images(data.train, IMAGES),
            data.images,
            source=Path(data.name),
            method=method,
            seed=SEED,
            device="cpu",
        )
        run_training(run, callbacks=Callbacks(on_mined=minings.append))
    print(json.dumps(asdict(Memory(built, _mebibytes("VmHWM"), len(minings)))))


def _built(method: str, classes: int) -> float:
    model = checkpoint.build(configuration(method, classes))
    megabytes = _mebibytes("VmRSS")
    del model
    return megabytes


def _first_images(dataset: Dataset, count: int) -> Dataset:
    images = dataset.images[:count]
    kept = {image.id for image in images}
    boxes = tuple(box for box in dataset.boxes if box.image_id in kept)
    return replace(dataset, images=images, boxes=boxes)


def _mebibytes(field: str) -> float:
    """Return a figure of this process from Linux's status file, which counts kibibytes."""
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.M)
    assert found is not None, field
    return int(found[1]) / 1024
