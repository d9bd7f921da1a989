"""The moving average of the weights, and a device's precision."""

import pytest
import torch

from sparsedet.training.engine.optimizer import ModelEMA, autocast_type
from tests.training.short_runs import short_config


def test_the_moving_average_follows_the_weights() -> None:
    model = torch.nn.Linear(1, 1)
    frozen, learned = model.weight, model.bias
    frozen.requires_grad = False
    with torch.no_grad():
        frozen.fill_(2.0)
        learned.fill_(0.0)
        average = ModelEMA(model, decay=0.75)
        learned.fill_(1.0)
        average.update(0)  # Early on: keeps (1 + 0) / (10 + 0) = 0.1 of itself.
        assert average.state_dict()["bias"].item() == pytest.approx(0.9)
        learned.fill_(3.0)
        average.update(1000)
    assert average.state_dict()["bias"].item() == pytest.approx(0.75 * 0.9 + 0.25 * 3)
    assert average.model_state()["weight"].item() == 2.0
    resumed = ModelEMA(model, decay=0.75)
    resumed.load_state_dict(average.state_dict())
    assert torch.equal(resumed.state_dict()["bias"], average.state_dict()["bias"])


MIXED = ("SOLVER.AMP.ENABLED", "True")


def test_precision_is_chosen_by_the_device() -> None:
    cpu = torch.device("cpu")
    assert autocast_type(short_config(1).solver, cpu) is None
    assert autocast_type(short_config(1, *MIXED).solver, cpu) is torch.bfloat16


@pytest.mark.parametrize(("in_hardware", "expected"), [(True, "bfloat16"), (False, "float16")])
def test_a_gpu_that_only_emulates_bf16_takes_fp16(
    monkeypatch: pytest.MonkeyPatch, in_hardware: bool, expected: str
) -> None:
    def is_supported(including_emulation: bool = True) -> bool:
        return in_hardware or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    found = autocast_type(short_config(1, *MIXED).solver, torch.device("cuda"))
    assert found is getattr(torch, expected)
