"""A checkpoint of other classes begins where it can, and says where it can't."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from sparsedet.errors import ConfigError, RunError
from sparsedet.modeling import checkpoint
from sparsedet.modeling.weights.pretrained import load_initial_weights
from sparsedet.training.config.loading import load_config
from sparsedet.training.config.methods import apply_method


def model_of(classes: int, weights: object = "", **keys: int) -> tuple[Any, Any]:
    cfg = load_config("lite0_fpn", ["MODEL.WEIGHTS", str(weights)])
    apply_method(cfg, "plain")
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = classes
    cfg.MODEL.FPN.OUT_CHANNELS = keys.get("channels", 64)
    return checkpoint.build(cfg), cfg


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "model.pth"
    torch.manual_seed(5)
    checkpoint.save({"model": model_of(3)[0].state_dict()}, path)
    return path


def test_a_checkpoint_of_other_classes_begins_its_last_layers_anew(
    trained: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model, cfg = model_of(5, trained)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with caplog.at_level(logging.WARNING):
        load_initial_weights(model, cfg)
    (said,) = caplog.messages
    assert "trained on 3 classes, while the data has 5" in said
    assert "4 parameters of the model begin anew: roi_heads.box_predictor.cls_score.weight" in said
    theirs = checkpoint.load(trained)["model"]
    for name, value in model.state_dict().items():
        expected = before if name.startswith("roi_heads.box_predictor.") else theirs
        assert torch.equal(value, expected[name]), name


def test_a_checkpoint_that_fits_says_nothing(
    trained: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model, cfg = model_of(3, trained)
    with caplog.at_level(logging.WARNING):
        load_initial_weights(model, cfg)
    assert caplog.messages == []
    theirs = checkpoint.load(trained)["model"]
    assert all(torch.equal(value, theirs[name]) for name, value in model.state_dict().items())


def test_what_has_no_place_in_the_model_is_named(
    trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = checkpoint.load(trained)["model"]
    weights["roi_heads.mask_head.weight"] = torch.zeros(2)
    checkpoint.save(weights, tmp_path / "mask.pth")
    model, cfg = model_of(3, tmp_path / "mask.pth", channels=32)
    with caplog.at_level(logging.WARNING):
        load_initial_weights(model, cfg)
    (said,) = caplog.messages
    assert "begin anew: backbone.fpn_lateral3.weight, " in said
    assert "1 of its own are not in the model: roi_heads.mask_head.weight" in said


def test_a_file_of_which_nothing_fits_is_an_error(tmp_path: Path) -> None:
    checkpoint.save({"backbone.odd": torch.zeros(2)}, tmp_path / "odd.pth")
    model, cfg = model_of(3, tmp_path / "odd.pth")
    with pytest.raises(ConfigError, match=r"odd\.pth: not one parameter .*it has backbone\.odd, "):
        load_initial_weights(model, cfg)


def test_a_runs_own_checkpoint_has_to_be_of_its_classes(trained: Path) -> None:
    with pytest.raises(RunError, match=r"a model of 3 classes, while .* have 5") as caught:
        checkpoint.load_weights(model_of(5)[0], trained)
    assert "\n" not in str(caught.value)
