"""A whole `staged` run: killed between any two steps, it resumes with the same result."""

import shutil
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sparsedet.annotations import Box, Dataset, read_coco, write_coco
from sparsedet.completeness.costs import ReviewCosts
from sparsedet.completeness.proposals import mine_proposals
from sparsedet.completeness.selection import Selection
from sparsedet.config.training_config import TrainingConfig, read_config
from sparsedet.errors import RunError
from sparsedet.modeling import checkpoint
from sparsedet.run_folder import RunFolder
from sparsedet.training.data.pseudo_labels import read_pseudo_labels, write_pseudo_labels
from sparsedet.training.engine.callbacks import Callbacks, StageProgress
from sparsedet.training.engine.pseudo_labelling import find_pseudo_labels
from sparsedet.training.engine.train import run_training, start_run
from tests.conftest import Scenes
from tests.training.short_runs import FULL_SIZE, short_config

EVERYTHING = Selection(ReviewCosts(), target_precision=0.0)

ITERATIONS = 6
STEPS = (
    ("checkpoints/stage1.pth",),
    ("mining/stage1.json",),
    ("checkpoints/stage2.pth",),
    ("mining/stage2.json",),
    ("checkpoints/stage3.pth",),
    ("model.pth",),
)
"""The files that a run writes, in this order."""
RESULT = ("model.pth", "mining/stage1.json", "mining/stage2.json")


class Work:
    """Counts what a run does."""

    def __init__(self) -> None:
        self.iterations: dict[str, int] = {}
        self.mined = 0

    def callbacks(self) -> Callbacks:
        return Callbacks(
            on_progress=lambda progress: self.iterations.update(
                {progress.stage: self.iterations.get(progress.stage, 0) + 1}
            ),
            on_mining=lambda done, total: setattr(self, "mined", done),
        )


@pytest.fixture(scope="module")
def finished(scenes: Scenes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("run") / "run"
    # A part of the labels, all of one class, and scores at which even this little training is sure.
    sparse = scenes.dataset.with_boxes(
        replace(box, category_id=1) for box in scenes.dataset.boxes if box.id % 2
    )
    data = root.with_name("train.json")
    background = (replace(sparse.boxes[0], id=1, category_id=2),)
    write_coco(replace(sparse, verified_negatives=background), data)
    config = short_config(
        ITERATIONS,
        *FULL_SIZE,
        *("MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.001"),
        *("SPARSEDET.MINING.MIN_LABEL_SCORE", "0.0"),
        *("SPARSEDET.MINING.CLASS_SHARE", "0.0"),
        *("SPARSEDET.MINING.CLASS_PRECISION", "0.0"),
        *("SPARSEDET.STAGED.MIN_ITER", "0", "SPARSEDET.STAGED.MIN_MISSING", "0.0"),
        *("SOLVER.EMA_DECAY", "0.5"),
    )
    start_run(
        config,
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


def parts(root: Path) -> tuple[RunFolder, TrainingConfig, Dataset, Path]:
    """A run's folder, configuration, annotations and images."""
    run = RunFolder(root)
    return run, read_config(run.config), read_coco(run.training_data), Path(run.info().images)


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
    run_training(RunFolder(root), callbacks=work.callbacks())

    for name in RESULT:
        assert (root / name).read_bytes() == (finished / name).read_bytes(), name
    trained = {stage for stage in ("stage1", "stage2", "stage3") if work.iterations.get(stage)}
    lost = {name for step in STEPS[done:] for name in step}
    assert trained == {f"stage{k}" for k in (1, 2, 3) if f"checkpoints/stage{k}.pth" in lost}
    assert (work.mined > 0) == ("mining/stage2.json" in lost)
    assert not half_written.exists()


@pytest.mark.parametrize("killed_at", [1, 3, 5])
def test_interrupted_within_a_stage_a_run_goes_on_the_same(
    finished: Path, tmp_path: Path, killed_at: int
) -> None:
    root = tmp_path / "run"
    root.mkdir()
    for name in ("config.yaml", "run.json", "train.json"):
        shutil.copy(finished / name, root)

    def press(progress: StageProgress) -> None:
        if progress.iteration == killed_at:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_training(RunFolder(root), callbacks=Callbacks(on_progress=press))
    run_training(RunFolder(root))
    for name in RESULT:
        assert (root / name).read_bytes() == (finished / name).read_bytes(), name


def test_a_run_ends_with_and_mines_by_the_moving_average(finished: Path, tmp_path: Path) -> None:
    state = checkpoint.load(finished / "checkpoints/stage3.pth")
    weights = checkpoint.load(finished / "model.pth")["model"]
    assert state["average"]
    for name, value in state["average"].items():
        assert torch.equal(weights[name], value), name
    assert any(not torch.equal(state["model"][name], weights[name]) for name in weights)

    run, config, dataset, images = parts(finished)
    state = checkpoint.load(finished / "checkpoints/stage2.pth")
    model = checkpoint.build(config.node).eval()
    model.load_state_dict(state["model"] | state["average"])
    found = find_pseudo_labels(model, config, dataset, images, run.info())
    write_pseudo_labels(found, tmp_path / "stage2.json")
    kept = (finished / "mining/stage2.json").read_bytes()
    assert kept == (tmp_path / "stage2.json").read_bytes()


def test_a_checkpoint_that_is_none_of_the_stage_is_refused(finished: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(finished, root)
    (root / "model.pth").unlink()
    (root / "checkpoints/stage3.pth").unlink()
    state = checkpoint.load(root / "checkpoints/stage2.pth")
    checkpoint.save(state | {"iteration": 400}, root / "checkpoints/stage2.pth")
    with pytest.raises(RunError, match=r"iteration 400, and stage3 has 4 to 6; restore config"):
        run_training(RunFolder(root))


def test_the_stages_learn_from_what_was_mined(finished: Path) -> None:
    first, second = (
        read_pseudo_labels(finished / f"mining/{name}.json") for name in ("stage1", "stage2")
    )
    assert first.ignored
    assert second.labels
    assert second.ignored


def test_the_finished_model_names_its_classes(finished: Path) -> None:
    run = RunFolder(finished)
    names = checkpoint.class_names(checkpoint.load(run.model))
    assert names == [name for _, name in run.info().classes]


def test_the_finished_model_mines_by_class_names(finished: Path) -> None:
    run, config, dataset, images = parts(finished)
    found = mine_proposals(run, config, dataset, images, device="cpu", selection=EVERYTHING)
    assert found.mined

    def moved(boxes: Sequence[Box]) -> tuple[Box, ...]:
        return tuple(replace(box, category_id=box.category_id + 50) for box in boxes)

    other = replace(
        dataset,
        categories=tuple(replace(category, id=category.id + 50) for category in dataset.categories),
        boxes=moved(dataset.boxes),
        verified_negatives=moved(dataset.verified_negatives),
    )
    renumbered = mine_proposals(run, config, other, images, device="cpu", selection=EVERYTHING)
    assert [box.category_id - 50 for box in renumbered.mined] == [
        box.category_id for box in found.mined
    ]


def test_augmented_is_staged_without_mining(scenes: Scenes, tmp_path: Path) -> None:
    never = ("SPARSEDET.STAGED.MINE_AT", "()")

    def trained(method: str, *overrides: str) -> bytes:
        run = RunFolder(tmp_path / "-".join((method, *overrides[:1])))
        start_run(
            short_config(4, *overrides),
            run,
            scenes.dataset,
            scenes.images,
            source=scenes.annotations,
            method=method,
            seed=1,
            device="cpu",
        )
        run_training(run)
        return run.model.read_bytes()

    augmented = trained("augmented")
    assert augmented == trained("staged", *never)
    assert augmented != trained("plain")
