"""Loading and saving weights: only tensors, all of which fit, or one clear error."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sparsedet.errors import ConfigError, RunError
from sparsedet.modeling import SparseDetRCNN, checkpoint
from sparsedet.modeling.weights.pretrained import load_initial_weights
from tests.modeling import reference
from tests.modeling.steps import settings


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch exploded",)


def test_a_checkpoint_that_would_run_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Bomb()}, "bomb.pth")
    with pytest.raises(RunError, match=r"bomb\.pth: not a readable checkpoint"):
        checkpoint.load(Path("bomb.pth"))
    assert not Path("exploded").exists()


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", r" \(.*\)"), (b"PK\x03\x04 cut short", r" \(.*\)"), (b"hi\n", "")]
)
def test_a_broken_checkpoint_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "half.pth").write_bytes(content)
    asks = r"; is it a PyTorch or safetensors file, and complete\?"
    with pytest.raises(RunError, match=rf"half\.pth: not a readable checkpoint{reason}{asks}"):
        checkpoint.load(tmp_path / "half.pth")


def test_an_error_repeats_no_advice_to_load_files_unsafely(tmp_path: Path) -> None:
    (tmp_path / "other.pth").write_bytes(b"{}")
    with pytest.raises(RunError, match=r"not a readable checkpoint \(") as caught:
        checkpoint.load(tmp_path / "other.pth")
    assert "weights_only" not in str(caught.value)


def test_a_checkpoint_with_damaged_weights_is_named(tmp_path: Path) -> None:
    path = tmp_path / "flipped.pth"
    checkpoint.save({"model": {"weight": torch.zeros(4096)}}, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"not a readable checkpoint \(.*data/0 is damaged\)"):
        checkpoint.load(path)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"none\.pth: no such checkpoint"):
        checkpoint.load(tmp_path / "none.pth")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"weight": torch.zeros(2, 3)}, "1 parameter differs from.*; not in the file: bias$"),
        (
            {"weight": torch.zeros(9, 3), "bias": torch.zeros(2)},
            r"of different shape: weight \(9, 3\) in the file, \(2, 3\) in the model",
        ),
        (
            {f"odd{k}": torch.zeros(1) for k in range(4)} | {"weight": torch.zeros(2, 3)},
            "5 parameters differ.*file: bias; not in the model: odd0, odd1, odd2 and 1 more",
        ),
    ],
)
def test_weights_that_do_not_fit_name_the_first_that_differ(
    tmp_path: Path, weights: dict[str, torch.Tensor], message: str
) -> None:
    checkpoint.save({"model": weights}, tmp_path / "other.pth")
    with pytest.raises(RunError, match=message):
        checkpoint.load_weights(nn.Linear(3, 2), tmp_path / "other.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_checkpoint_of_the_reference_loads_strictly(tmp_path: Path, suffix: str) -> None:
    weights = reference.below("weights/")
    path = tmp_path / f"model{suffix}"
    if suffix == ".pth":
        torch.save({"model": weights, "iteration": 7}, path)
    else:
        save_file(weights, path)
    model = SparseDetRCNN(reference.config())
    checkpoint.load_weights(model, path)
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_a_broken_safetensors_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "half.safetensors").write_bytes(b"\x40\0\0\0\0\0\0\0{")
    with pytest.raises(RunError, match=r"half\.safetensors: not a readable checkpoint"):
        checkpoint.load(tmp_path / "half.safetensors")
    with pytest.raises(RunError, match=r"none\.safetensors: no such checkpoint"):
        checkpoint.load(tmp_path / "none.safetensors")


def resnet(weights: Path) -> tuple[nn.Module, Any]:
    cfg = settings("end-to-end", "MODEL.WEIGHTS", weights, config="sparsedet_r101_fpn_coco")
    cfg.MODEL.RESNETS.DEPTH = 50
    return checkpoint.build(cfg), cfg


def test_pickled_weights_that_would_run_code_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bomb.pkl").write_bytes(pickle.dumps({"conv1_w": Bomb()}))
    model, cfg = resnet(Path("bomb.pkl"))
    with pytest.raises(ConfigError, match=r"bomb\.pkl: not a file of weights"):
        load_initial_weights(model, cfg)
    assert not Path("exploded").exists()


def test_weights_that_are_not_there_say_what_to_do(tmp_path: Path) -> None:
    model, cfg = resnet(tmp_path / "missing.pkl")
    with pytest.raises(ConfigError, match=r"missing\.pkl"):
        load_initial_weights(model, cfg)
