"""A whole run by `staged`: killed between any two of its steps, it goes on and ends the same."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sparsedet.annotations import Box, read_coco, write_coco
from sparsedet.errors import RunError
from sparsedet.files import read_json
from sparsedet.mining.calibrate import read_calibration
from sparsedet.mining.mine import mine, mined_meta
from sparsedet.run_folder import RunFolder
from sparsedet.training.pseudo_labels import (
    PseudoLabels,
    read_pseudo_labels,
    write_pseudo_labels,
)
from sparsedet.training.settings import read_config
from sparsedet.training.stages import hold_out
from sparsedet.training.train import Listeners, run_training, start_run
from tests.training.conftest import Scenes, short_config

ITERATIONS = 6
STEPS = (
    ("checkpoints/stage1.pth",),
    ("mining/fold0.pth",),
    ("mining/folds.json",),
    ("mining/calibration.json",),
    ("mining/mined.meta.json", "mining/mined.json"),
    ("mining/stage1.json",),
    ("checkpoints/stage2.pth",),
    ("mining/stage2.json",),
    ("checkpoints/stage3.pth",),
    ("model.pth",),
)
"""The files that a run writes, in this order; the second mining writes the first one's anew."""
RESULT = (
    "model.pth",
    "mining/fold0.pth",
    "mining/calibration.json",
    "mining/mined.json",
    "mining/stage1.json",
    "mining/stage2.json",
)


class Work:
    """Counts what a run does."""

    def __init__(self) -> None:
        self.iterations: dict[str, int] = {}
        self.mined = 0

    def listeners(self) -> Listeners:
        return Listeners(
            on_progress=lambda progress: self.iterations.update(
                {progress.stage: self.iterations.get(progress.stage, 0) + 1}
            ),
            on_mining=lambda done, total: setattr(self, "mined", done),
        )


@pytest.fixture(scope="module")
def finished(scenes: Scenes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("run") / "run"
    # A part of the labels, and scores at which even this little training finds something.
    sparse = scenes.dataset.with_boxes(box for box in scenes.dataset.boxes if box.id % 2)
    data = root.with_name("train.json")
    background = (replace(sparse.boxes[0], id=1, category_id=2),)
    write_coco(replace(sparse, background=background), data)
    cfg = short_config(
        ITERATIONS,
        *("MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.001"),
        *("SPARSEDET.MINING.MIN_LABEL_SCORE", "0.0"),
        *("SPARSEDET.MINING.CLASS_SHARE", "0.0"),
        *("SPARSEDET.MINING.CLASS_PRECISION", "0.0"),
        *("SPARSEDET.STAGED.MIN_ITER", "0"),
        *("SPARSEDET.STAGED.HELD_OUT", "0.2"),
        *("SPARSEDET.STAGED.OBJECTS", "True"),
        *("SOLVER.EMA_DECAY", "0.5"),
    )
    start_run(
        cfg,
        RunFolder(root),
        read_coco(data),
        scenes.images,
        source=data,
        method="staged",
        seed=1,
        device="cpu",
    )
    run_training(RunFolder(root))
    return root


@pytest.mark.parametrize("done", range(1, len(STEPS)))
def test_killed_between_two_steps_a_run_does_the_rest(
    finished: Path, tmp_path: Path, done: int
) -> None:
    root = tmp_path / "run"
    shutil.copytree(finished, root)
    for step in STEPS[done:]:
        for name in step:
            (root / name).unlink()
    half_written = root / "checkpoints" / ".stage1.pth.1.tmp"
    half_written.write_bytes(b"half")

    work = Work()
    run_training(RunFolder(root), listeners=work.listeners())

    for name in RESULT:
        assert (root / name).read_bytes() == (finished / name).read_bytes(), name
    trained = {stage for stage in ("stage1", "stage2", "stage3") if work.iterations.get(stage)}
    lost = {name for step in STEPS[done:] for name in step}
    assert trained == {f"stage{k}" for k in (1, 2, 3) if f"checkpoints/stage{k}.pth" in lost}
    assert (work.mined > 0) == ("mining/stage2.json" in lost)
    assert not half_written.exists()


def test_the_stages_learn_from_what_was_mined(finished: Path) -> None:
    for name in ("stage1", "stage2"):
        boxes = read_pseudo_labels(finished / f"mining/{name}.json")
        assert boxes.labels or boxes.objects, name


def test_mining_again_uses_the_scores_that_the_run_kept(finished: Path) -> None:
    """Not those of the images mined now, on which nobody may have drawn anything."""
    run = RunFolder(finished)
    cfg = read_config(run.config)
    dataset = read_coco(run.training_data)
    images = Path(run.info().images)
    during = read_json(run.mining / "mined.meta.json")["thresholds"]
    again = mine(run, cfg, dataset, images, device="cpu")
    assert mined_meta(run, cfg, dataset, again)["thresholds"] == during
    empty = mine(run, cfg, dataset.with_boxes([]), images, device="cpu")
    assert empty.thresholds == again.thresholds
    assert len(empty.mined) > len(again.mined)
    own = mine(run, cfg, dataset.with_boxes([]), images, device="cpu", calibrate_on=[])
    assert not own.mined


def test_every_mining_reads_its_thresholds_off_its_own_model(finished: Path) -> None:
    run = RunFolder(finished)
    cfg = read_config(run.config)
    dataset = read_coco(run.training_data)
    images = Path(run.info().images)
    _, held_out = hold_out(dataset, cfg.SPARSEDET.STAGED.HELD_OUT, run.info().seed)
    assert held_out
    last = mine(run, cfg, dataset, images, device="cpu", calibrate_on=held_out)
    assert last.calibration == tuple(read_calibration(run.calibration))


def test_mined_boxes_are_kept_to_the_last_digit(tmp_path: Path) -> None:
    label = Box(1, 3, 2, (1 / 3, 2 / 3, 10.1, 20.2), origin="mined")
    boxes = PseudoLabels((label,), (replace(label, image_id=4),), (replace(label, category_id=1),))
    write_pseudo_labels(boxes, tmp_path / "boxes.json")
    assert read_pseudo_labels(tmp_path / "boxes.json") == boxes
    (tmp_path / "boxes.json").write_text('{"labels": []}')
    with pytest.raises(RunError, match=r"boxes\.json: unexpected content .*mined again"):
        read_pseudo_labels(tmp_path / "boxes.json")
