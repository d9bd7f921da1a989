"""What a run may resume with: one training at a time, and processes that can share its batches."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sparsedet.annotations import Dataset
from sparsedet.config.training_config import TrainingConfig, load_config
from sparsedet.errors import AnnotationError, ConfigError, RunError
from sparsedet.run_folder import RunFolder
from sparsedet.runtime import processes
from sparsedet.training.data.samples import training_images
from sparsedet.training.engine.best_checkpoint import ValidationData
from sparsedet.training.engine.checkpoints import StageCheckpoints
from sparsedet.training.engine.stage import Stage, train_stage
from sparsedet.training.engine.train import (
    check_same_run,
    run_training,
    start_run,
    use_images,
)
from tests.conftest import Scenes
from tests.training.short_runs import short_config

HOLDER = """
import os, sys, time
from pathlib import Path
from sparsedet.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).lock():
    child = os.fork()
    if child:
        print(child, flush=True)
    time.sleep(60)
"""
"""A training, and a loader process of it."""


def start(
    scenes: Scenes, root: Path, *keys: str, dataset: Dataset | None = None
) -> tuple[RunFolder, TrainingConfig]:
    run, config = RunFolder(root), short_config(4, *keys)
    start_run(
        config, run, dataset or scenes.dataset, scenes.images,
        source=scenes.annotations, method="plain", seed=1, device="cpu",
    )  # fmt: skip
    return run, config.prepared(method="plain", seed=1, classes=10)


@pytest.fixture
def run(scenes: Scenes, tmp_path: Path) -> RunFolder:
    return start(scenes, tmp_path / "run", "SOLVER.IMS_PER_BATCH", "4")[0]


def test_one_process_at_a_time_trains_a_run(run: RunFolder) -> None:
    command = [sys.executable, "-c", HOLDER, str(run.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        loader = int(holder.stdout.readline())
        try:
            half_written = run.checkpoints / ".plain.pth.1.tmp"
            half_written.write_bytes(b"half")
            with pytest.raises(RunError, match="another process is training this run; wait for"):
                run_training(run)
            # It belongs to the other one.
            assert half_written.exists()
            holder.kill()
            holder.wait()
            # Loader processes notice only after some seconds that their training has been killed.
            os.kill(loader, 0)
            with run.lock():
                pass
        finally:
            holder.kill()
            os.kill(loader, signal.SIGKILL)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_a_run_is_trained_as_well(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_arguments: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with run.lock():
        pass


def test_in_a_folder_without_a_run_nothing_is_locked(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run here"):
        run_training(RunFolder(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("keys", "ranks", "says"),
    [
        ((), 3, "3 processes can't share the run's batches of 4 images evenly, .* 1 or 2 or 4 "),
        (("SOLVER.ACCUMULATION", "2"), 4, "batches of 4 images evenly, .* resume it with 1 or 2 "),
    ],
)
def test_possible_numbers_of_processes_are_named(
    scenes: Scenes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    keys: tuple[str, ...],
    ranks: int,
    says: str,
) -> None:
    """The batch, which the message of a new run suggests to change, is that of the run."""
    run, _ = start(scenes, tmp_path / "run", "SOLVER.IMS_PER_BATCH", "4", *keys)
    monkeypatch.setattr(processes, "ranks", lambda: ranks)
    monkeypatch.setattr(processes, "first_does", lambda action: action())
    with pytest.raises(RunError, match=says):
        run_training(run)


def test_of_a_batch_that_nothing_can_share_the_key_is_named(run: RunFolder) -> None:
    """Somebody has edited the file."""
    config = load_config(str(run.config), ["SOLVER.ACCUMULATION", "3"])
    run.config.write_text(config.dump())
    with pytest.raises(ConfigError, match=r"SOLVER\.ACCUMULATION is 3"):
        run_training(run)


def test_a_bounded_batch_is_the_same_with_other_processes(
    scenes: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of five images, two processes take four at a time, and one would take all."""
    few = scenes.dataset.with_images(scenes.dataset.images[:5])
    monkeypatch.setattr(processes, "ranks", lambda: 2)
    run, config = start(scenes, tmp_path / "run", "SOLVER.IMS_PER_BATCH", "8", dataset=few)
    for ranks in (1, 2, 4):
        monkeypatch.setattr(processes, "ranks", lambda ranks=ranks: ranks)
        check_same_run(run, method=None, seed=None, dataset=None, config=config)
        other = config.with_values({"SOLVER.IMS_PER_BATCH": 2})
        with pytest.raises(RunError, match=r"other values of SOLVER\.IMS_PER_BATCH"):
            check_same_run(run, method=None, seed=None, dataset=None, config=other)


@pytest.mark.parametrize("left", [None, 1])
def test_a_stage_does_not_start_without_the_one_before(
    scenes: Scenes, tmp_path: Path, left: int | None
) -> None:
    """Its labels were mined by that one; from initial weights it would train another model."""
    run = RunFolder(tmp_path)
    if left is not None:
        StageCheckpoints(run, "stage1").write({"iteration": left})
    images = training_images(scenes.dataset, scenes.images, keep_unlabelled=True)
    with pytest.raises(RunError, match=r"stage1\.pth: missing .* remove .*mining/stage1\.json to"):
        train_stage(
            Stage("stage2", 2, 4, previous="stage1"),
            images,
            short_config(4, method="plain"),
            run,
            seed=1,
        )


def test_images_for_training_and_validation_may_move_apart(scenes: Scenes, tmp_path: Path) -> None:
    training, validation = tmp_path / "training", tmp_path / "validation"
    learned = scenes.dataset.with_images(scenes.dataset.images[:2])
    measured = scenes.dataset.with_images(scenes.dataset.images[2:4])
    for dataset, folder in ((learned, training), (measured, validation)):
        for image in dataset.images:
            (folder / image.file_name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(scenes.images / image.file_name, folder / image.file_name)
    run = RunFolder(tmp_path / "run")
    start_run(
        short_config(4, "TEST.EVAL_PERIOD", "2"), run, learned, training,
        source=scenes.annotations, method="plain", seed=1, device="cpu",
        validation=ValidationData(measured, validation),
    )  # fmt: skip
    before = run.info_file.read_bytes()
    use_images(run, None)
    assert run.info_file.read_bytes() == before
    new_training = training.rename(tmp_path / "new training")
    new_validation = validation.rename(tmp_path / "new validation")
    # Otherwise, the training would end at its first validation.
    with pytest.raises(AnnotationError, match="new training"):
        use_images(run, new_training)
    assert run.info_file.read_bytes() == before
    use_images(run, new_training, new_validation)
    assert run.info().images == str(new_training)
    assert run.info().validation_images == str(new_validation)
    use_images(run, None, scenes.images)
    assert run.info().images == str(new_training)
    assert run.info().validation_images == str(scenes.images.resolve())
