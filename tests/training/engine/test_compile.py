"""MODEL.COMPILE, channels_last and bf16 autocast: options of a training that change no result much.

The networks are tiny: on a CPU compilation takes longer than all that these tests train.
"""

import logging
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sparsedet.config.training_config import load_config
from sparsedet.modeling.compiled import compile_for_training
from sparsedet.training.data.loader import batches
from sparsedet.training.data.samples import training_images
from sparsedet.training.engine.trainer import Trainer
from tests.conftest import Scenes

TINY = [
    *("MODEL.WEIGHTS", "", "MODEL.TIMM.NAME", "test_resnet", "MODEL.TIMM.FREEZE_THROUGH", ""),
    *("SOLVER.MAX_ITER", "8", "SOLVER.IMS_PER_BATCH", "2", "SOLVER.WARMUP_ITERS", "2"),
    *("INPUT.MIN_SIZE_TRAIN", "64", "INPUT.MAX_SIZE_TRAIN", "96", "MODEL.FPN.OUT_CHANNELS", "16"),
    *("MODEL.ROI_BOX_HEAD.FC_DIM", "32", "DATALOADER.NUM_WORKERS", "0"),
]
PLAIN = ("MODEL.COMPILE", "False", "MODEL.CHANNELS_LAST", "False")
BF16 = ("SOLVER.AMP.ENABLED", "True", "SOLVER.AMP.PRECISION", "bf16")


def losses(scenes: Scenes, *keys: str) -> tuple[list[float], Trainer]:
    """The losses of three steps on the same batches."""
    config = load_config("lite0_fpn", [*TINY, *keys])
    config = config.prepared(method="plain", seed=1, classes=10)
    config = config.with_values({"MODEL.DEVICE": "cpu"})
    images = training_images(scenes.dataset, scenes.images, keep_unlabelled=True)
    trainer = Trainer(config, 1)
    trainer.start(None, 0)
    found = [
        trainer.step(batch)["total_loss"]
        for batch in batches(images, config, seed=1, start=0, end=3)
    ]
    return found, trainer


def test_a_compiled_training_has_the_losses_and_names_of_another(
    scenes: Scenes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All of the compiler but the C++ that it writes, which takes minutes for a network.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    expected, plain = losses(scenes, *PLAIN)
    assert not torch._dynamo.utils.counters["stats"]
    found, compiled = losses(scenes, *PLAIN, "MODEL.COMPILE", "True")
    assert found == pytest.approx(expected, rel=1e-3)
    assert list(compiled.state()["model"]) == list(plain.state()["model"])
    # Backbone and RPN head were compiled, each as a whole, and neither was given up.
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 2
    assert not torch._dynamo.utils.counters["graph_break"]
    model: Any = compiled.model
    for part in (model.backbone, model.proposal_generator.rpn_head):
        assert part.forward._compiled is not None


class Detector(nn.Module):
    """As much of a detector as compiles in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid())
        self.proposal_generator = nn.Module()
        self.proposal_generator.rpn_head = nn.Sequential(nn.Tanh())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return something that both parts have a share in."""
        head: Any = self.proposal_generator.rpn_head
        found: torch.Tensor = head(self.backbone(x))
        return found


def outcome(compiles: bool) -> tuple[torch.Tensor, torch.Tensor, Detector]:
    """What a detector makes of an input, the gradient of its weight, and itself."""
    torch.manual_seed(3)
    detector = Detector()
    if compiles:
        compile_for_training(detector)
    found = detector(torch.randn(5, 4))
    found.square().sum().backward()
    gradient = next(detector.parameters()).grad
    assert gradient is not None
    return found, gradient, detector


def test_kernels_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    torch._dynamo.reset()
    # In this process: starting others takes longer. Nor do precompiled headers pay off for four
    # kernels, or trying each instruction set that the processor says it has.
    monkeypatch.setattr("torch._inductor.config.compile_threads", 1)
    monkeypatch.setattr("torch._inductor.config.cpp_cache_precompile_headers", False)
    monkeypatch.setattr("torch._inductor.config.cpp.vec_isa_ok", True)
    found, gradient, detector = outcome(compiles=True)
    expected, truth, plain = outcome(compiles=False)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient, truth)
    assert list(detector.state_dict()) == list(plain.state_dict())
    assert vars(detector.backbone)["forward"]._compiled is not None


def test_without_a_compiler_a_warning_says_so_and_training_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    torch._dynamo.reset()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("torch._inductor.config.compile_threads", 1)
    # Nothing that an earlier test compiled is found, and no compiler either.
    monkeypatch.setattr("torch._inductor.config.force_disable_caches", True)
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (None, "no-such-compiler"))
    with caplog.at_level(logging.WARNING, "sparsedet"):
        found, gradient, _ = outcome(compiles=True)
    # torch itself says where it left what it had begun.
    said = [one.getMessage() for one in caplog.records if one.name.startswith("sparsedet.")]
    start = "MODEL.COMPILE: torch can't compile the Sequential here, which runs uncompiled ("
    assert len(said) == 2
    for line in said:
        assert line.startswith(start)
        assert "\n" not in line
    expected, truth, _ = outcome(compiles=False)
    assert torch.equal(found, expected)
    assert torch.equal(gradient, truth)


@pytest.mark.parametrize(
    ("keys", "tolerance"),
    [(("MODEL.CHANNELS_LAST", "True"), 1e-3), (BF16, 5e-2)],
    ids=["channels_last", "bf16"],
)
def test_layout_and_precision_change_the_losses_little(
    keys: tuple[str, ...], tolerance: float, scenes: Scenes
) -> None:
    expected, _ = losses(scenes, *PLAIN)
    found, trainer = losses(scenes, *PLAIN, *keys)
    assert found == pytest.approx(expected, rel=tolerance)
    weights = [value for value in trainer.model.parameters() if value.ndim == 4]
    in_layout = [value.is_contiguous(memory_format=torch.channels_last) for value in weights]
    assert all(in_layout) == (keys[0] == "MODEL.CHANNELS_LAST")
    if keys == BF16:
        # The losses are calculated in a shorter type, the weights stay as they are.
        assert found != expected
    assert {value.dtype for value in weights} == {torch.float32}
