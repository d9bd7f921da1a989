"""Training and evaluating a cell, and the clock of the training."""

import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from sparsedet import __version__
from sparsedet.annotations import Dataset
from sparsedet.atomic_io import read_json, write_json
from sparsedet.config.training_config import TrainingConfig, load_config, read_config
from sparsedet.errors import RunError
from sparsedet.mining.detect import detect
from sparsedet.modeling.checkpoint import build_for_inference
from sparsedet.run_folder import RunFolder, class_ids
from sparsedet.training.engine.callbacks import Callbacks, OnProgress, StageProgress
from sparsedet.training.engine.train import check_same_run, run_training, start_run
from sparsedet.training.evaluation.average_precision import Evaluation, evaluate

from .data import FullData
from .plan import Cell
from .record import CHANGED, Figures, Record
from .scoring import evaluate_ignoring, mined_quality

_STARTED = "started.json"
_SAVE_PERIOD = 20
"""Iterations between saves: the maximum that a killed process loses."""


def configuration(cell: Cell) -> TrainingConfig:
    """Return the initial configuration of a cell's run."""
    return load_config(cell.config, ["SOLVER.MAX_ITER", str(cell.iterations), *cell.overrides])


def run_configuration(cell: Cell, classes: int) -> TrainingConfig:
    """Return the configuration of the run itself, with this many classes.

    Raises:
        ConfigError: when there is no such configuration, key or value.
    """
    return configuration(cell).prepared(method=cell.method, seed=cell.seed, classes=classes)


def train_cell(
    cell: Cell,
    data: FullData,
    commit: str,
    scratch: Path,
    on_progress: OnProgress = lambda progress: None,
) -> Record:
    """Train and evaluate a cell, resuming the training in its scratch folder.

    Args:
        cell: the cell.
        data: the cell's dataset.
        commit: of the code. The folder's content is resumed if this commit started it with this
            configuration and data, and removed otherwise, including when code is not committed.
        scratch: the cell's folder, which is kept; initially empty or missing.
        on_progress: called after every iteration.
    """
    run = RunFolder(scratch / "run")
    sparse, removed = data.sparse(cell)
    started = {"commit": commit, "cell": cell.model_dump(mode="json")}
    if not _resumable(run, cell, sparse, started, scratch / _STARTED):
        shutil.rmtree(scratch, ignore_errors=True)
        write_json(scratch / _STARTED, started)
    if not run.info_file.exists():
        start_run(
            configuration(cell),
            run,
            sparse,
            data.train_images,
            source=data.source,
            method=cell.method,
            seed=cell.seed,
            device="cpu",
        )
    with Clock(scratch / "seconds.json") as clock:

        def tick(progress: StageProgress) -> None:
            clock.tick(progress.iteration)
            on_progress(progress)

        run_training(
            run,
            # A resumed run does not mine again: its time belongs to the iterations before it.
            callbacks=Callbacks(on_progress=tick, on_mined=lambda found: clock.save()),
        )
    raw, ignoring = _evaluations(run, data)
    return Record(
        cell=cell,
        commit=commit,
        training_boxes=len(sparse.boxes),
        removed_boxes=len(removed.boxes),
        figures=Figures.of(raw),
        unlabelled_ignored=None if ignoring is None else Figures.of(ignoring),
        mined=mined_quality(run, removed, data.unlabelled_train),
        seconds=round(clock.seconds, 1),
        cpu_seconds=round(clock.cpu_seconds, 1),
        versions={"sparsedet": __version__, "torch": torch.__version__},
        threads=torch.get_num_threads(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _resumable(
    run: RunFolder, cell: Cell, sparse: Dataset, started: dict[str, Any], note: Path
) -> bool:
    """Return whether the scratch folder contains this exact training."""
    if started["commit"].endswith(CHANGED) or not note.exists() or read_json(note) != started:
        return False
    if run.info_file.exists():
        config = run_configuration(cell, len(sparse.categories))
        try:
            check_same_run(run, method=cell.method, seed=cell.seed, dataset=sparse, config=config)
        except RunError:
            return False
    return True


def _evaluations(run: RunFolder, data: FullData) -> tuple[Evaluation, Evaluation | None]:
    """Evaluate on the test images: as published, and ignoring the known unlabelled objects."""
    config = read_config(run.config)
    model = build_for_inference(config.node, run.finished_model(), "cpu")
    ids = class_ids(run.info(), data.test)
    detections = list(detect(model, config, data.test.images, data.test_images, ids))
    raw = evaluate(detections, data.test)
    if not data.unlabelled_test:
        return raw, None
    return raw, evaluate_ignoring(detections, data.test, data.unlabelled_test)


class Clock:
    """Counts the seconds, and processor seconds, of the iterations that led to the result.

    A killed training resumes at a checkpoint and repeats the iterations after it: then the clock is
    set back to that iteration.
    """

    def __init__(self, path: Path) -> None:
        """Read the saved time, if it exists."""
        self._path = path
        marks = read_json(path) if path.exists() else [[0, 0.0, 0.0]]
        self._marks: list[tuple[int, float, float]] = [
            (int(iteration), float(seconds), float(cpu)) for iteration, seconds, cpu in marks
        ]
        self._iteration = self._marks[-1][0]
        self._resumed = True
        _, self.seconds, self.cpu_seconds = self._marks[-1]
        self._last = _now()

    def __enter__(self) -> "Clock":
        self._last = _now()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.save()

    def tick(self, iteration: int) -> None:
        """Record the end of an iteration, counted from 1."""
        self._add()
        if self._resumed:
            self._set_back(iteration - 1)
            self._resumed = False
        self._iteration = iteration
        if iteration % _SAVE_PERIOD == 0:
            self.save()

    def save(self) -> None:
        """Save the time so far as that of the last iteration."""
        self._add()
        earlier = [mark for mark in self._marks if mark[0] < self._iteration]
        self._marks = [*earlier, (self._iteration, self.seconds, self.cpu_seconds)]
        write_json(self._path, self._marks)

    def _set_back(self, iteration: int) -> None:
        """Subtract what earlier processes spent after `iteration`."""
        known = self._marks[-1]
        self._marks = [mark for mark in self._marks if mark[0] <= iteration]
        self.seconds -= known[1] - self._marks[-1][1]
        self.cpu_seconds -= known[2] - self._marks[-1][2]

    def _add(self) -> None:
        now = _now()
        self.seconds += now[0] - self._last[0]
        self.cpu_seconds += now[1] - self._last[1]
        self._last = now


def _now() -> tuple[float, float]:
    return time.monotonic(), time.process_time()
