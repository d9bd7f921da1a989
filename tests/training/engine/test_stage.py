"""Training stages: they learn, stop cleanly and go on as if they had never stopped."""

import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import CfgNode

from sparsedet.atomic_io import write_text
from sparsedet.errors import ConfigError, TrainingError
from sparsedet.modeling import checkpoint
from sparsedet.training.config.constraints import check_shares
from sparsedet.training.config.methods import apply_method
from sparsedet.training.data.samples import TrainingImage, training_images
from sparsedet.training.engine.ema import MovingAverage
from sparsedet.training.engine.metrics import read_metrics
from sparsedet.training.engine.optimizer import autocast_type
from sparsedet.training.engine.stage import Stage, StageProgress, train_stage
from sparsedet.training.engine.trainer import Trainer, Weights
from sparsedet.training.run_folder import RunFolder
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
    images: list[TrainingImage],
    root: Path,
    recorder: Recorder,
    method: str,
    *overrides: str,
    iterations: int = 6,
) -> Weights:
    cfg = short_config(iterations, *overrides)
    apply_method(cfg, method)
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 10
    cfg.MODEL.DEVICE = "cpu"
    return train_stage(
        Stage("only", 0, cfg.SOLVER.MAX_ITER),
        images,
        cfg,
        run_of(cfg, root),
        seed=1,
        on_progress=recorder,
    )


def run_of(cfg: CfgNode, root: Path) -> RunFolder:
    """A run folder with its configuration, by which a stage tells whether it may go on."""
    run = RunFolder(root)
    write_text(run.config, cfg.dump())
    return run


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
    from sparsedet.modeling.weights.pretrained import load_initial_weights

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


def test_progress_and_metrics_tell_rate_speed_and_memory(
    images: list[TrainingImage], tmp_path: Path
) -> None:
    told: list[StageProgress] = []
    cfg = short_config(3)
    apply_method(cfg, "plain")
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 10
    cfg.MODEL.DEVICE = "cpu"
    run = RunFolder(tmp_path)
    began = time.monotonic()
    train_stage(Stage("only", 0, 3), images, cfg, run, seed=1, on_progress=told.append)
    seconds = time.monotonic() - began
    # It warms up: two iterations below the full rate.
    assert 0 < told[0].learning_rate < told[1].learning_rate < told[2].learning_rate
    (line,) = read_metrics(run.metrics)
    assert line["lr"] == told[2].learning_rate
    assert line["images_per_second"] == told[2].images_per_second
    # Two images in each of three iterations, and what the whole call took is an upper bound.
    assert told[2].images_per_second > 2 * 3 / seconds
    # A process with torch and a model takes some hundreds of MiB.
    assert 100 < told[0].memory_bytes / 2**20 <= line["memory_mib"]


def test_a_checkpoint_holds_tensors_and_plain_values_only(
    images: list[TrainingImage], tmp_path: Path
) -> None:
    train(images, tmp_path, Recorder(), "plain")
    state = checkpoint.load(RunFolder(tmp_path).checkpoints / "only.pth")
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
    assert checkpoint.load(RunFolder(tmp_path / "parts").checkpoints / "only.pth")["iteration"] == 1
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
    """Two stages on the same images are one: weights, schedule, average and draws go on."""
    cfg = short_config(6)
    apply_method(cfg, "staged")
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 10
    cfg.MODEL.DEVICE = "cpu"
    whole, parts = Recorder(), Recorder()

    def run(name: str, recorder: Recorder, *stages: Stage) -> Weights:
        folder = run_of(cfg, tmp_path / name)
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


SMALL = ("INPUT.MIN_SIZE_TRAIN", "96", "INPUT.MAX_SIZE_TRAIN", "128")


def test_a_batch_in_parts_learns_about_the_same(
    images: list[TrainingImage], tmp_path: Path
) -> None:
    whole, parts = Recorder(), Recorder()
    keys = (*SMALL, "SOLVER.IMS_PER_BATCH", "4", "MODEL.RPN.BATCH_SIZE_PER_IMAGE", "100000")
    train(images, tmp_path / "whole", whole, "plain", *keys)
    train(images, tmp_path / "parts", parts, "plain", *keys, "SOLVER.ACCUMULATION", "2")
    # Of each part the mean over its own proposals counts.
    assert parts.losses[0] == pytest.approx(whole.losses[0], rel=0.05)
    assert parts.losses[0] != whole.losses[0]
    assert parts.losses[-1] < parts.losses[0]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_trains(
    images: list[TrainingImage], tmp_path: Path, precision: str
) -> None:
    exact, mixed = Recorder(), Recorder()
    keys = (*SMALL, "MODEL.RPN.POST_NMS_TOPK_TRAIN", "30")
    train(images, tmp_path / "exact", exact, "end-to-end", *keys, iterations=2)
    keys += ("SOLVER.AMP.ENABLED", "True", "SOLVER.AMP.PRECISION", precision)
    train(images, tmp_path / "mixed", mixed, "end-to-end", *keys, iterations=2)
    assert mixed.losses != exact.losses
    assert mixed.losses == pytest.approx(exact.losses, rel=0.1)
    scaler = checkpoint.load(RunFolder(tmp_path / "mixed").checkpoints / "only.pth")["scaler"]
    assert bool(scaler) == (precision == "fp16")


def test_precision_is_chosen_by_the_device() -> None:
    cfg = short_config(1)
    cfg.MODEL.DEVICE = "cpu"
    assert autocast_type(cfg) is None
    cfg.SOLVER.AMP.ENABLED = True
    assert autocast_type(cfg) is torch.bfloat16


@pytest.mark.parametrize(("in_hardware", "expected"), [(True, "bfloat16"), (False, "float16")])
def test_a_gpu_that_only_emulates_bf16_takes_fp16(
    monkeypatch: pytest.MonkeyPatch, in_hardware: bool, expected: str
) -> None:
    def is_supported(including_emulation: bool = True) -> bool:
        return in_hardware or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    cfg = short_config(1, "SOLVER.AMP.ENABLED", "True")
    cfg.MODEL.DEVICE = "cuda"
    assert autocast_type(cfg) is getattr(torch, expected)


def test_too_little_memory_says_what_needs_less(
    images: list[TrainingImage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def losses(*inputs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Trainer, "_losses", losses)
    with pytest.raises(TrainingError, match=r"memory .* at iteration 0; SOLVER\.ACCUMULATION 2"):
        train(images, tmp_path, Recorder(), "plain")


def test_gradients_that_are_not_finite_never_get_into_the_weights(
    images: list[TrainingImage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finite loss can have such gradients, and its iteration's state would be saved."""
    backward = torch.autograd.backward

    def break_one(total: torch.Tensor) -> None:
        backward(total)
        optimized = next(iter(broken)).param_groups[0]["params"][0]
        optimized.grad.fill_(float("inf"))

    broken: list[torch.optim.Optimizer] = []
    real_init = torch.optim.AdamW.__init__

    def note(self: torch.optim.AdamW, *args: object, **kwargs: object) -> None:
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
    ("ranks", "keys", "message"),
    [
        (3, [], "IMS_PER_BATCH is 4, which 3 processes can't share evenly"),
        (2, ["SOLVER.ACCUMULATION", "4"], "can't part the 2 images of a process evenly"),
        (2, ["SOLVER.ACCUMULATION", "2"], None),
        (1, ["SOLVER.ACCUMULATION", "4"], None),
    ],
)
def test_batches_are_parted_evenly_or_not_at_all(
    ranks: int, keys: list[str], message: str | None
) -> None:
    cfg = short_config(1, "SOLVER.IMS_PER_BATCH", "4", *keys)
    if message is None:
        check_shares(cfg, ranks)
        return
    with pytest.raises(ConfigError, match=message):
        check_shares(cfg, ranks)
