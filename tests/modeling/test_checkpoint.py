"""Weights in and out: nothing but tensors, all of them fitting, or one clear error."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sparsedet.errors import ConfigError, RunError
from sparsedet.modeling import checkpoint
from sparsedet.modeling.pretrained import load_initial_weights
from sparsedet.training.methods import apply_method
from sparsedet.training.settings import load_config


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


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short"])
def test_a_broken_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "half.pth").write_bytes(content)
    with pytest.raises(RunError, match=r"half\.pth: not a readable checkpoint"):
        checkpoint.load(tmp_path / "half.pth")


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"none\.pth: no such checkpoint"):
        checkpoint.load(tmp_path / "none.pth")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"weight": torch.zeros(2, 3)}, "1 parameters differ.*: bias"),
        ({"weight": torch.zeros(9, 3), "bias": torch.zeros(2)}, r"weight: \(9, 3\) in the file"),
    ],
)
def test_weights_that_do_not_fit_name_the_first_that_differ(
    tmp_path: Path, weights: dict[str, torch.Tensor], message: str
) -> None:
    checkpoint.save({"model": weights}, tmp_path / "other.pth")
    with pytest.raises(RunError, match=message):
        checkpoint.load_weights(nn.Linear(3, 2), tmp_path / "other.pth")


def resnet(weights: Path) -> tuple[nn.Module, Any]:
    cfg = load_config("sparsedet_r101_fpn_coco", ["MODEL.WEIGHTS", str(weights)])
    apply_method(cfg, "end-to-end")
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.RESNETS.DEPTH = 50
    return checkpoint.build(cfg), cfg


def test_msra_weights_are_read_by_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = {
        "conv1_w": rng.normal(size=(64, 3, 7, 7)).astype(np.float32),
        "res_conv1_bn_s": rng.normal(size=64).astype(np.float32),
        "res_conv1_bn_b": rng.normal(size=64).astype(np.float32),
        "res2_0_branch2a_w": rng.normal(size=(64, 64, 1, 1)).astype(np.float32),
        "fc1000_w": rng.normal(size=(1000, 2048)).astype(np.float32),
    }
    (tmp_path / "R-50.pkl").write_bytes(pickle.dumps(weights, protocol=2))
    model, cfg = resnet(tmp_path / "R-50.pkl")
    load_initial_weights(model, cfg)
    loaded = model.state_dict()
    stem = "backbone.bottom_up.stem.conv1"
    assert np.array_equal(loaded[f"{stem}.weight"], weights["conv1_w"])
    assert np.array_equal(loaded[f"{stem}.norm.weight"], weights["res_conv1_bn_s"])
    block = loaded["backbone.bottom_up.res2.0.conv1.weight"]
    assert np.array_equal(block, weights["res2_0_branch2a_w"])


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
