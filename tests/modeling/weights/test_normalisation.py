"""Colour order and normalisation follow the weights, unless the user overrides them."""

import pytest

from sparsedet.config.key_values import set_key
from sparsedet.config.training_config import TrainingConfig, load_node
from sparsedet.errors import ConfigError

IMAGENET = ("RGB", [123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
HALVES = ("RGB", [127.5] * 3, [127.5] * 3)
LITE = ("RGB", [127.0] * 3, [128.0] * 3)
MSRA = ("BGR", [103.53, 116.28, 123.675], [1.0, 1.0, 1.0])
RESNEXT = ("BGR", [103.53, 116.28, 123.675], [57.375, 57.12, 58.395])
ZOO = "detectron2://ImageNetPretrained"


@pytest.mark.parametrize(
    ("config", "pairs", "expected"),
    [
        ("lite0_fpn", "", LITE),
        ("lite2_fpn", "", LITE),
        ("lite0_fpn", "MODEL.WEIGHTS timm MODEL.TIMM.NAME resnet18", IMAGENET),
        # Nothing is known of these: what the configuration says stays.
        ("lite0_fpn", "MODEL.WEIGHTS run/model.pth", LITE),
        ("r50_fpn", "MODEL.WEIGHTS run/model.pth", IMAGENET),
        ("timm_fpn", "", IMAGENET),
        ("timm_fpn", "MODEL.TIMM.NAME tf_efficientnet_lite0", HALVES),
        ("timm_fpn", "MODEL.TIMM.NAME vit_tiny_patch16_224", HALVES),
        ("r50_fpn", "", IMAGENET),
        ("r101_fpn", "", IMAGENET),
        ("r50_fpn", f"MODEL.WEIGHTS {ZOO}/MSRA/R-50.pkl", MSRA),
        ("r101_fpn", f"MODEL.WEIGHTS {ZOO}/FAIR/X-101-32x8d.pkl", RESNEXT),
        ("sparsedet_r101_fpn_coco", "", MSRA),
        ("sparsedet_r101_fpn_coco", f"MODEL.WEIGHTS {ZOO}/torchvision/R-101.pkl", IMAGENET),
        ("sparsedet_r101_fpn_voc", "MODEL.WEIGHTS torchvision:resnet101", IMAGENET),
        # Nearly the same is the same.
        ("r50_fpn", "MODEL.PIXEL_STD (58.4,57.1,57.4)", (*IMAGENET[:2], [58.4, 57.1, 57.4])),
    ],
)
def test_they_follow_the_weights(
    config: str, pairs: str, expected: tuple[str, list[float], list[float]]
) -> None:
    cfg = load_node(config, pairs.split())
    assert (cfg.INPUT.FORMAT, list(cfg.MODEL.PIXEL_MEAN), list(cfg.MODEL.PIXEL_STD)) == expected


def test_so_do_the_stride_of_a_resnet_and_the_epsilon_of_a_timm_model() -> None:
    msra = load_node("r50_fpn", ["MODEL.WEIGHTS", f"{ZOO}/MSRA/R-50.pkl"])
    assert msra.MODEL.RESNETS.STRIDE_IN_1X1
    assert not load_node("r50_fpn").MODEL.RESNETS.STRIDE_IN_1X1
    timm = load_node("lite0_fpn", ["MODEL.WEIGHTS", "timm", "MODEL.TIMM.NAME", "resnet18"])
    assert timm.MODEL.TIMM.BATCH_NORM_EPS == 0
    assert load_node("lite0_fpn").MODEL.TIMM.BATCH_NORM_EPS == 0.001


@pytest.mark.parametrize(
    ("pairs", "key"),
    [
        # detectron2's default, but chosen.
        ("INPUT.FORMAT BGR", "INPUT.FORMAT is BGR"),
        ("MODEL.PIXEL_MEAN (1.0,2.0,3.0)", "MODEL.PIXEL_MEAN is"),
        ("MODEL.PIXEL_STD (1.0,1.0,1.0)", "MODEL.PIXEL_STD is"),
    ],
)
def test_a_choice_that_contradicts_the_weights_names_what_they_need(pairs: str, key: str) -> None:
    needs = r"needs INPUT.FORMAT RGB, MODEL.PIXEL_MEAN \[127.*, MODEL.PIXEL_STD \[128"
    with pytest.raises(ConfigError, match=f"{key}.*{needs}"):
        load_node("lite0_fpn", pairs.split())


def test_weights_that_are_set_later_are_followed_or_contradicted() -> None:
    cfg = load_node("sparsedet_r101_fpn_coco")
    set_key(cfg, "MODEL.WEIGHTS", "torchvision:resnet101")
    prepared = TrainingConfig.of(cfg).prepared(method="plain", seed=1, classes=2)
    assert prepared.input.format == "RGB"
    assert IMAGENET[2] == prepared.node.MODEL.PIXEL_STD

    cfg = load_node("lite0_fpn")
    set_key(cfg, "MODEL.WEIGHTS", "timm")
    with pytest.raises(ConfigError, match="PIXEL_MEAN is"):
        TrainingConfig.of(cfg).prepared(method="plain", seed=1, classes=2)
