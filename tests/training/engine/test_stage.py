"""Training stages: they learn, stop cleanly, and resume as if never stopped."""

import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sparsedet.errors import RunError, TrainingError
from sparsedet.modeling import checkpoint
from sparsedet.modeling.weights.pretrained import load_initial_weights
from sparsedet.run_folder import RunFolder
from sparsedet.training.data.packed_dataset import PackedDataset, TrainingImage
from sparsedet.training.data.samples import training_images
from sparsedet.training.engine.callbacks import Callbacks, StageProgress
from sparsedet.training.engine.metrics import read_metrics
from sparsedet.training.engine.stage import Stage, train_stage
from sparsedet.training.engine.trainer import Trainer, Weights
from tests.conftest import Scenes
from tests.training.short_runs import short_config


class Recorder:
    """Notes the losses; presses Ctrl-C after a number of iterations."""

    def __init__(self, interrupt_after: int | None = None) -> None:
        self.losses: list[float] = []
        self.interrupt_after = interrupt_after

    def __call__(self, progress: StageProgress) -> None:
        self.losses.append(progress.losses["total_loss"])
        if len(self.losses) == self.interrupt_after:
            signal.raise_signal(signal.SIGINT)


def train(
    images: Sequence[TrainingImage],
    root: Path,
    recorder: Recorder,
    method: str,
    *overrides: str,
    iterations: int = 6,
) -> Weights:
    config = short_config(iterations, *overrides, method=method)
    stage, run = Stage("only", 0, iterations), RunFolder(root)
    callbacks = Callbacks(on_progress=recorder)
    return train_stage(stage, images, config, run, seed=1, callbacks=callbacks)


@pytest.fixture
def images(scenes: Scenes) -> PackedDataset:
    return training_images(scenes.dataset, scenes.images, keep_unlabelled=True)


@pytest.mark.parametrize("method", ["plain", "end-to-end"])
def test_an_interrupted_stage_goes_on_with_the_same_losses(
    images: PackedDataset, tmp_path: Path, method: str
) -> None:
    whole, first, second = Recorder(), Recorder(interrupt_after=3), Recorder()
    expected = train(images, tmp_path / "whole", whole, method)
    with pytest.raises(KeyboardInterrupt):
        train(images, tmp_path / "parts", first, method)
    resumed = train(images, tmp_path / "parts", second, method)

    assert first.losses + second.losses == whole.losses
    for name, value in expected.items():
        assert torch.equal(value, resumed[name]), name
    logged = [read_metrics(RunFolder(tmp_path / name).metrics) for name in ("whole", "parts")]
    assert [line["total_loss"] for line in logged[0]] == [line["total_loss"] for line in logged[1]]


def test_frozen_layers_stay_and_the_others_learn(images: PackedDataset, tmp_path: Path) -> None:
    weights = train(images, tmp_path, Recorder(), "plain")
    node = short_config(6, method="plain").node
    start = checkpoint.build(node)
    load_initial_weights(start, node)
    before = dict(start.named_parameters())
    body = "backbone.bottom_up.model."
    for name in before:
        if name.startswith(body):
            changed = not torch.equal(weights[name], before[name])
            stage = name.removeprefix(body)
            assert changed == stage.startswith(("blocks.3", "blocks.4", "blocks.5", "blocks.6"))


def test_a_loss_that_is_not_finite_names_the_images(images: PackedDataset, tmp_path: Path) -> None:
    broken = [replace(image, boxes=np.full_like(image.boxes, np.nan)) for image in images]
    with pytest.raises(TrainingError, match=r"not finite at iteration 0 .*image ids \d+, \d+"):
        train(broken, tmp_path, Recorder(), "plain")


def test_progress_and_metrics_tell_rate_speed_and_memory(
    images: PackedDataset, tmp_path: Path
) -> None:
    seen: list[StageProgress] = []
    config = short_config(3, method="plain")
    run = RunFolder(tmp_path)
    began = time.monotonic()
    callbacks = Callbacks(on_progress=seen.append)
    train_stage(Stage("only", 0, 3), images, config, run, seed=1, callbacks=callbacks)
    seconds = time.monotonic() - began
    # It warms up: two iterations below the full rate.
    assert 0 < seen[0].learning_rate < seen[1].learning_rate < seen[2].learning_rate
    (line,) = read_metrics(run.metrics)
    assert line["lr"] == seen[2].learning_rate
    assert line["images_per_second"] == seen[2].images_per_second
    # Two images in each of three iterations, and what the whole call took is an upper bound.
    assert seen[2].images_per_second > 2 * 3 / seconds
    # A process with torch and a model takes some hundreds of MiB.
    assert 100 < seen[0].memory_bytes / 2**20 <= line["memory_mib"]


def test_a_checkpoint_holds_tensors_and_plain_values_only(
    images: PackedDataset, tmp_path: Path
) -> None:
    train(images, tmp_path, Recorder(), "plain")
    state = checkpoint.load(RunFolder(tmp_path).checkpoints / "only.pth")
    assert state["iteration"] == 6
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize(
    "signals", [(signal.SIGINT,), (signal.SIGHUP, signal.SIGHUP)], ids=["Ctrl-C", "closed terminal"]
)
def test_an_interrupt_waits_for_the_end_of_the_iteration(
    images: PackedDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    signals: tuple[signal.Signals, ...],
) -> None:
    """Weights, optimiser, schedule and counter are saved as of one moment."""
    real_step = torch.optim.AdamW.step
    # So that without the stage's own handler the tests would continue.
    before = signal.signal(signal.SIGHUP, lambda number, frame: pytest.fail("not held back"))

    def interrupted_step(self: torch.optim.AdamW) -> None:
        for number in signals:  # a shell sends it again
            signal.raise_signal(number)
        real_step(self)

    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.AdamW, "step", interrupted_step)
        with pytest.raises(KeyboardInterrupt):
            train(images, tmp_path / "parts", Recorder(), "plain")
    signal.signal(signal.SIGHUP, before)
    assert checkpoint.load(RunFolder(tmp_path / "parts").checkpoints / "only.pth")["iteration"] == 1
    resumed = train(images, tmp_path / "parts", Recorder(), "plain")
    whole = train(images, tmp_path / "whole", Recorder(), "plain")
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_ctrl_c_works_as_ever_after_a_training(images: PackedDataset, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    train(images, tmp_path, Recorder(), "plain")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_stage_under_nohup_outlives_its_terminal(images: PackedDataset, tmp_path: Path) -> None:
    def hang_up(progress: StageProgress) -> None:
        signal.raise_signal(signal.SIGHUP)

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        config, run = short_config(2, method="plain"), RunFolder(tmp_path)
        callbacks = Callbacks(on_progress=hang_up)
        assert train_stage(Stage("only", 0, 2), images, config, run, seed=1, callbacks=callbacks)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_stage_goes_on_where_the_previous_one_ended(
    images: PackedDataset, tmp_path: Path
) -> None:
    """Two stages on the same images are one: weights, schedule, average and draws continue."""
    config = short_config(6, method="staged")
    whole, parts = Recorder(), Recorder()

    def run(name: str, recorder: Recorder, *stages: Stage) -> Weights:
        folder = RunFolder(tmp_path / name)
        weights = [
            train_stage(
                stage, images, config, folder, seed=1, callbacks=Callbacks(on_progress=recorder)
            )
            for stage in stages
        ]
        return weights[-1]

    expected = run("whole", whole, Stage("only", 0, 6))
    first, second = Stage("stage1", 0, 4), Stage("stage2", 4, 6, previous="stage1")
    found = run("parts", parts, first, second)

    assert parts.losses == whole.losses
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    logged = read_metrics(RunFolder(tmp_path / "parts").metrics)
    assert [(line["stage"], line["iteration"]) for line in logged] == [("stage1", 4), ("stage2", 6)]


SMALL = ("INPUT.MIN_SIZE_TRAIN", "96", "INPUT.MAX_SIZE_TRAIN", "128")


def test_a_batch_in_parts_learns_about_the_same(images: PackedDataset, tmp_path: Path) -> None:
    whole, parts = Recorder(), Recorder()
    keys = (*SMALL, "SOLVER.IMS_PER_BATCH", "4", "MODEL.RPN.BATCH_SIZE_PER_IMAGE", "100000")
    train(images, tmp_path / "whole", whole, "plain", *keys)
    train(images, tmp_path / "parts", parts, "plain", *keys, "SOLVER.ACCUMULATION", "2")
    # Of each part the mean over its own proposals counts.
    assert parts.losses[0] == pytest.approx(whole.losses[0], rel=0.05)
    assert parts.losses[0] != whole.losses[0]
    assert parts.losses[-1] < parts.losses[0]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_trains(images: PackedDataset, tmp_path: Path, precision: str) -> None:
    exact, mixed = Recorder(), Recorder()
    keys: tuple[str, ...] = (*SMALL, "MODEL.RPN.POST_NMS_TOPK_TRAIN", "30")
    train(images, tmp_path / "exact", exact, "end-to-end", *keys, iterations=2)
    keys = (*keys, "SOLVER.AMP.ENABLED", "True", "SOLVER.AMP.PRECISION", precision)
    train(images, tmp_path / "mixed", mixed, "end-to-end", *keys, iterations=2)
    assert mixed.losses != exact.losses
    assert mixed.losses == pytest.approx(exact.losses, rel=0.1)
    scaler = checkpoint.load(RunFolder(tmp_path / "mixed").checkpoints / "only.pth")["scaler"]
    assert bool(scaler) == (precision == "fp16")


def test_too_little_memory_says_what_needs_less(
    images: PackedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def losses(*inputs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Trainer, "_losses", losses)
    with pytest.raises(TrainingError, match=r"memory at iteration 0; SOLVER\.ACCUMULATION 2"):
        train(images, tmp_path, Recorder(), "plain")


def test_gradients_that_are_not_finite_never_get_into_the_weights(
    images: PackedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finite loss can have such gradients, and its iteration's state would be saved."""
    backward = torch.autograd.backward

    def break_one(total: torch.Tensor) -> None:
        backward(total)
        optimized = next(iter(broken)).param_groups[0]["params"][0]
        optimized.grad.fill_(float("inf"))

    broken: list[torch.optim.Optimizer] = []
    real_init = torch.optim.AdamW.__init__

    def note(self: torch.optim.AdamW, *args: Any, **kwargs: Any) -> None:
        real_init(self, *args, **kwargs)
        broken.append(self)

    monkeypatch.setattr(torch.optim.AdamW, "__init__", note)
    monkeypatch.setattr(torch.autograd, "backward", break_one)
    with pytest.raises(
        TrainingError, match=r"not finite at iteration 0 .*gradients nan; image ids"
    ):
        train(images, tmp_path, Recorder(), "plain", "SOLVER.CHECKPOINT_PERIOD", "1", *SMALL)
    assert not (RunFolder(tmp_path).checkpoints / "only.pth").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"MODEL.ROI_HEADS.NUM_CLASSES": 3},
        {"SOLVER.OPTIMIZER": "SGD"},
        {"MODEL.TIMM.FREEZE_THROUGH": ""},
        {"SOLVER.EMA_DECAY": 0.5},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_checkpoint_of_another_configuration_is_one_line(change: dict[str, Any]) -> None:
    keys = ("MODEL.WEIGHTS", "", "SOLVER.EMA_DECAY", "0.0")
    config = short_config(6, *keys, method="plain")
    state = Trainer(config, 1).state()
    with pytest.raises(RunError, match=r"doesn't fit its config\.yaml \(.+\); restore the file"):
        Trainer(config.with_values(change), 1).start(state, 0)
