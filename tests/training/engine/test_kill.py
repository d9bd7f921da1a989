"""Killed at any moment, a run resumes to the same losses and model."""

import multiprocessing
import random
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from sparsedet.annotations import read_coco
from sparsedet.run_folder import RunFolder
from sparsedet.training.engine.callbacks import Callbacks, EarlyStop
from sparsedet.training.engine.metrics import read_metrics
from sparsedet.training.engine.train import run_training, start_run
from tests.conftest import Scenes
from tests.training.engine import killed
from tests.training.short_runs import short_config

ITERATIONS = 16
KILLS = 3


def start(scenes: Scenes, root: Path) -> RunFolder:
    run = RunFolder(root)
    config = short_config(
        ITERATIONS,
        *("SOLVER.CHECKPOINT_PERIOD", "4", "TEST.EVAL_PERIOD", "6"),
        *("MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.001", "SPARSEDET.MINING.MIN_LABEL_SCORE", "0.0"),
        *("SPARSEDET.MINING.CLASS_SHARE", "0.0", "SPARSEDET.MINING.CLASS_PRECISION", "0.0"),
        *("SPARSEDET.STAGED.MIN_ITER", "0", "SPARSEDET.STAGED.MIN_MISSING", "0.0"),
    )
    start_run(
        config, run, read_coco(scenes.annotations).with_boxes(scenes.dataset.boxes[::2]),
        scenes.images, source=scenes.annotations, method="staged", seed=1, device="cpu",
    )  # fmt: skip
    return run


def kill_after(run: RunFolder, signs: int, seconds: float) -> None:
    """Resume a run in another process, and kill it some time after so many signs of progress."""
    # Forked from a process that has imported torch: importing takes longer than what is killed.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([killed.__name__])
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=killed.resume, args=(run.root, there))
    process.start()
    there.close()
    with here, suppress(EOFError):
        for _ in range(signs):
            here.recv_bytes()
        process.join(seconds)
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)


def numbers(run: RunFolder) -> list[dict[str, object]]:
    """What the run says of losses and measurements; not how fast it was."""
    speed = ("seconds_per_iteration", "images_per_second", "memory_mib")
    return [
        {name: value for name, value in line.items() if name not in speed}
        for line in read_metrics(run.metrics)
    ]


def test_killed_at_random_moments_a_run_ends_the_same(scenes: Scenes, tmp_path: Path) -> None:
    whole, broken = start(scenes, tmp_path / "whole"), start(scenes, tmp_path / "broken")
    run_training(whole)
    seed = random.SystemRandom().randrange(2**32)
    print("the moments are those of seed", seed)
    draw = random.Random(seed)
    kills = 0
    for _ in range(KILLS):
        kill_after(broken, draw.randint(1, 10), draw.uniform(0, 0.5))
        kills += not broken.model.exists()
    assert kills >= 1
    run_training(broken)

    assert numbers(broken) == numbers(whole)
    for name in ("model.pth", "mining/stage1.json", "mining/stage2.json", "checkpoints/best.pth"):
        assert (broken.root / name).read_bytes() == (whole.root / name).read_bytes(), name


@pytest.mark.parametrize("patience", [0, 1])
def test_a_training_ends_early_where_nothing_gets_better(
    scenes: Scenes, tmp_path: Path, patience: int
) -> None:
    """Without any learning the first measurement stays the best."""
    run = RunFolder(tmp_path / "run")
    config = short_config(
        8,
        *("SOLVER.BASE_LR", "1e-12", "SOLVER.BASE_LR_END", "0", "TEST.EVAL_PERIOD", "2"),
        *("SPARSEDET.VALIDATION.PATIENCE", str(patience)),
    )
    dataset = read_coco(scenes.annotations)
    start_run(
        config, run, dataset, scenes.images,
        source=scenes.annotations, method="plain", seed=1, device="cpu",
    )  # fmt: skip
    stops: list[EarlyStop] = []
    callbacks = Callbacks(on_early_stop=stops.append)
    run_training(run, callbacks=callbacks)
    measured = [line["iteration"] for line in read_metrics(run.metrics) if "validation" in line]
    assert measured == ([2, 4] if patience else [2, 4, 6, 8])
    assert [(stop.iteration, stop.iterations, stop.best_iteration) for stop in stops] == (
        [(4, 8, 2)] if patience else []
    )
    run.model.unlink()
    # A run that ended early does not train on when it is called again.
    run_training(run)
    assert len([line for line in read_metrics(run.metrics) if "validation" in line]) == len(
        measured
    )
