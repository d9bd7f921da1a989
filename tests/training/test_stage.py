"""Training stages: they learn, stop cleanly and go on as if they had never stopped."""

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sparsedet.errors import TrainingError
from sparsedet.modeling import checkpoint
from sparsedet.run_folder import RunFolder
from sparsedet.training.methods import apply_method
from sparsedet.training.metrics import read_metrics
from sparsedet.training.moving_average import MovingAverage
from sparsedet.training.samples import TrainingImage, training_images
from sparsedet.training.stage import Stage, StageProgress, Weights, checkpoint_path, train_stage
from tests.training.conftest import Scenes, short_config


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
    images: list[TrainingImage], root: Path, recorder: Recorder, method: str, *overrides: str
) -> Weights:
    cfg = short_config(6, *overrides)
    apply_method(cfg, method)
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 10
    cfg.MODEL.DEVICE = "cpu"
    return train_stage(
        Stage("only", 0, cfg.SOLVER.MAX_ITER),
        images,
        cfg,
        RunFolder(root),
        seed=1,
        on_progress=recorder,
    )


@pytest.fixture
def images(scenes: Scenes) -> list[TrainingImage]:
    return training_images(scenes.dataset, scenes.images, keep_unlabelled=True)


@pytest.mark.parametrize("method", ["plain", "end-to-end"])
def test_an_interrupted_stage_goes_on_with_the_same_losses(
    images: list[TrainingImage], tmp_path: Path, method: str
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


def test_frozen_layers_stay_and_the_others_learn(
    images: list[TrainingImage], tmp_path: Path
) -> None:
    weights = train(images, tmp_path, Recorder(), "plain")
    cfg = short_config(6)
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 10
    apply_method(cfg, "plain")
    cfg.MODEL.DEVICE = "cpu"
    from sparsedet.modeling.pretrained import load_initial_weights

    start = checkpoint.build(cfg)
    load_initial_weights(start, cfg)
    before = dict(start.named_parameters())
    body = "backbone.bottom_up.model."
    for name in before:
        if name.startswith(body):
            changed = not torch.equal(weights[name], before[name])
            stage = name.removeprefix(body)
            assert changed == stage.startswith(("blocks.3", "blocks.4", "blocks.5", "blocks.6"))


def test_a_loss_that_is_not_finite_names_the_images(
    images: list[TrainingImage], tmp_path: Path
) -> None:
    broken = [replace(image, boxes=np.full_like(image.boxes, np.nan)) for image in images]
    with pytest.raises(TrainingError, match=r"not finite at iteration 0 .*image ids \d+, \d+"):
        train(broken, tmp_path, Recorder(), "plain")


def test_mixed_precision_trains(images: list[TrainingImage], tmp_path: Path) -> None:
    recorder = Recorder()
    train(images, tmp_path, recorder, "end-to-end", "SOLVER.AMP.ENABLED", "True")
    assert all(np.isfinite(recorder.losses))


def test_a_checkpoint_holds_tensors_and_plain_values_only(
    images: list[TrainingImage], tmp_path: Path
) -> None:
    train(images, tmp_path, Recorder(), "plain")
    state = checkpoint.load(checkpoint_path(RunFolder(tmp_path), "only"))
    assert state["iteration"] == 6
    assert not list(tmp_path.rglob("*.tmp"))


def test_an_interrupt_waits_for_the_end_of_the_iteration(
    images: list[TrainingImage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights, optimiser, schedule and counter are saved as of one moment."""
    real_step = torch.optim.AdamW.step

    def interrupted_step(self: torch.optim.AdamW) -> None:
        signal.raise_signal(signal.SIGINT)
        real_step(self)

    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.AdamW, "step", interrupted_step)
        with pytest.raises(KeyboardInterrupt):
            train(images, tmp_path / "parts", Recorder(), "plain")
    assert checkpoint.load(checkpoint_path(RunFolder(tmp_path / "parts"), "only"))["iteration"] == 1
    resumed = train(images, tmp_path / "parts", Recorder(), "plain")
    whole = train(images, tmp_path / "whole", Recorder(), "plain")
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_ctrl_c_works_as_ever_after_a_training(images: list[TrainingImage], tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    train(images, tmp_path, Recorder(), "plain")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_stage_goes_on_where_the_previous_one_ended(
    images: list[TrainingImage], tmp_path: Path
) -> None:
    """Two stages on the same images are one: weights, schedule, average and draws go on.

    Only that the second one, by default, zooms some of its images.
    """
    cfg = short_config(6, "SPARSEDET.STAGED.ZOOM_SHARE", "0.0")
    apply_method(cfg, "plain")
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 10
    cfg.MODEL.DEVICE = "cpu"
    whole, parts, zoomed = Recorder(), Recorder(), Recorder()

    def run(name: str, recorder: Recorder, *stages: Stage) -> Weights:
        folder = RunFolder(tmp_path / name)
        weights = [
            train_stage(stage, images, cfg, folder, seed=1, on_progress=recorder)
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

    cfg.SPARSEDET.STAGED.ZOOM_SHARE = 1.0
    run("zoomed", zoomed, first, second)
    assert zoomed.losses[:4] == whole.losses[:4]
    assert zoomed.losses[4] != whole.losses[4]


def test_the_moving_average_follows_the_weights() -> None:
    model = torch.nn.Linear(1, 1)
    frozen, learned = model.weight, model.bias
    frozen.requires_grad = False
    with torch.no_grad():
        frozen.fill_(2.0)
        learned.fill_(0.0)
        average = MovingAverage(model, decay=0.75)
        learned.fill_(1.0)
        average.update(0)  # Early on: keeps (1 + 0) / (10 + 0) = 0.1 of itself.
        assert average.state_dict()["bias"].item() == pytest.approx(0.9)
        learned.fill_(3.0)
        average.update(1000)
    assert average.state_dict()["bias"].item() == pytest.approx(0.75 * 0.9 + 0.25 * 3)
    assert average.model_state()["weight"].item() == 2.0
    resumed = MovingAverage(model, decay=0.75)
    resumed.load_state_dict(average.state_dict())
    assert torch.equal(resumed.state_dict()["bias"], average.state_dict()["bias"])
