"""Frozen stages that take a batch in parts: the same features, names and gradients."""

import pytest
import timm
import torch

from sparsedet.modeling.cpu import batch_parts
from sparsedet.modeling.cpu.batch_parts import InParts
from sparsedet.modeling.timm_fpn import TimmBackbone

LEVELS = ["c3", "c4", "c5"]


@pytest.mark.parametrize(
    ("name", "out_indices", "sequences"),
    [
        ("efficientnet_lite0", (2, 3, 4), 3),
        ("resnet18", (2, 3, 4), 2),
        ("mobilenetv3_small_050", (2, 3, 4), 2),
        ("resnetv2_18", (2, 3, 4), 2),
        # Sequences inside of stages.
        ("test_convnext", (1, 2, 3), 3),
        # Its feature maps are read by hooks.
        ("xception41", (2, 3, 4), 0),
    ],
)
def test_parts_of_a_batch_give_the_features_of_the_whole(
    name: str, out_indices: tuple[int, ...], sequences: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = timm.create_model(name, features_only=True, out_indices=out_indices)
    names = [key for key, _ in TimmBackbone(model, LEVELS, "").named_parameters()]
    body = TimmBackbone(model, LEVELS, freeze_through="c3")
    assert [key for key, _ in body.named_parameters()] == names
    parted = [module for module in body.modules() if isinstance(module, InParts)]
    assert len(parted) == sequences
    sizes: list[int] = []
    for sequence in parted:
        sequence[0].register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))

    images = torch.randn(5, 3, 64, 96)
    found = body(images)
    assert sizes == [2, 2, 1] * sequences
    monkeypatch.setattr(batch_parts, "_IMAGES", 5)
    whole = body(images)
    for level in LEVELS:
        # A convolution of one image may be calculated in another way than one of several.
        torch.testing.assert_close(found[level], whole[level], rtol=1e-4, atol=1e-5)
    found["c5"].square().mean().backward()
    learns = {key for key, value in body.named_parameters() if value.grad is not None}
    assert learns == {key for key, value in body.named_parameters() if value.requires_grad}
