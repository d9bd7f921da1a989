"""Training and evaluating a cell."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import torch

from sparsedet import __version__
from sparsedet.atomic_io import read_json, write_json
from sparsedet.errors import SparseDetError
from sparsedet.mining.detect import detect
from sparsedet.modeling.checkpoint import build_for_inference
from sparsedet.training.config.loading import read_config
from sparsedet.training.engine.callbacks import Callbacks
from sparsedet.training.engine.stage import OnProgress, StageProgress
from sparsedet.training.engine.train import run_training, start_run
from sparsedet.training.evaluation.average_precision import Evaluation, evaluate
from sparsedet.training.run_folder import RunFolder, class_ids

from .cell import Cell
from .clock import Clock
from .data import FullData
from .fingerprint import Fingerprint, configuration, configuration_hash
from .ignoring import evaluate_ignoring
from .mined_quality import mined_quality
from .record import Figures, Record


def train_cell(
    cell: Cell,
    data: FullData,
    made_from: Fingerprint,
    scratch: Path,
    on_progress: OnProgress = lambda progress: None,
) -> Record:
    """Train and evaluate a cell, going on with what is in its scratch folder.

    Args:
        cell: what to train.
        data: the dataset that the cell names.
        made_from: the cell's fingerprint; a training that began with another is begun anew.
        scratch: the cell's folder, which stays; empty or not there at first.
        on_progress: told after every iteration.

    Raises:
        SparseDetError: when the cell's configuration is no longer that of its fingerprint.
    """
    note = scratch / "fingerprint.json"
    if not note.exists() or read_json(note) != made_from.model_dump():
        shutil.rmtree(scratch, ignore_errors=True)
        write_json(note, made_from.model_dump())
    run = RunFolder(scratch / "run")
    sparse, removed = data.sparse(cell)
    if not run.info_file.exists():
        if configuration_hash(cell, len(data.train.categories)) != made_from.configuration:
            raise SparseDetError(f"{cell.config}: changed since the call began; call it again")
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

        def tell(progress: StageProgress) -> None:
            clock.tick(progress.iteration)
            on_progress(progress)

        run_training(
            run,
            # What was mined is not mined again: its time stays with the iterations before it.
            callbacks=Callbacks(on_progress=tell, on_mined=lambda found: clock.save()),
        )
    raw, ignoring = _evaluations(run, data)
    return Record(
        cell=cell,
        fingerprint=made_from,
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


def _evaluations(run: RunFolder, data: FullData) -> tuple[Evaluation, Evaluation | None]:
    """Return the figures on the test images, and those that ignore unlabelled objects."""
    cfg = read_config(run.config)
    model = build_for_inference(cfg, run.finished_model(), "cpu")
    ids = class_ids(run.info(), data.test)
    detections = list(detect(model, cfg, data.test.images, data.test_images, ids))
    raw = evaluate(detections, data.test)
    if not data.unlabelled_test:
        return raw, None
    return raw, evaluate_ignoring(detections, data.test, data.unlabelled_test)
