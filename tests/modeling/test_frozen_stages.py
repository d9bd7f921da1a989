"""Frozen stages: the same maps in parts, no gradients, no other parameter names."""

import copy

import pytest
import timm
import torch
from torch import Tensor, nn

from sparsedet.modeling.frozen_stages import freeze_stages
from sparsedet.modeling.timm_fpn import FrozenNormConv, fold_frozen_norms

THROUGH = {"efficientnet_lite0": "blocks.2", "resnet18": "layer2"}


def backbone(name: str) -> nn.Module:
    torch.manual_seed(0)
    model: nn.Module = timm.create_model(name, features_only=True, out_indices=(2, 3, 4))
    fold_frozen_norms(model)
    return model


def images(count: int = 5) -> Tensor:
    return torch.rand(count, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", THROUGH)
def test_frozen_stages_are_not_trained_and_the_others_are(name: str) -> None:
    model = backbone(name)
    names = list(model.state_dict())
    freeze_stages(model, THROUGH[name])
    assert list(model.state_dict()) == names
    features = model(images())
    assert [maps.requires_grad for maps in features] == [False, True, True]
    torch.stack([maps.sum() for maps in features[1:]]).sum().backward()
    parameters = dict(model.named_parameters())
    last = max(place for place, key in enumerate(parameters) if key.startswith(THROUGH[name] + "."))
    trained = [parameter.grad is not None for parameter in parameters.values()]
    assert trained == [place > last for place in range(len(parameters))]


@pytest.mark.parametrize("name", THROUGH)
def test_parts_of_a_batch_give_the_maps_of_the_whole(name: str) -> None:
    model = backbone(name)
    expected = model(images())
    freeze_stages(model, THROUGH[name])
    inside = [
        module
        for key, module in model.named_modules()
        if key.startswith(THROUGH[name] + ".") and isinstance(module, FrozenNormConv)
    ]
    sizes: list[int] = []
    inside[-1].register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    for found, truth in zip(model(images()), expected, strict=True):
        torch.testing.assert_close(found, truth, rtol=1e-3, atol=1e-4)
    assert sizes == [2, 2, 1]


def test_a_copy_has_weights_of_its_own() -> None:
    model = backbone("resnet18")
    freeze_stages(model, "layer2")
    copied = copy.deepcopy(model)
    before = copied(images(1))[0]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(copied(images(1))[0], before)
    assert not torch.equal(model(images(1))[0], before)


def test_batch_norms_see_the_whole_batch() -> None:
    """A norm that nothing could be folded into takes its statistics from the batch."""
    model = nn.Sequential()
    model.add_module("norm", nn.BatchNorm2d(3))
    model.add_module("conv", nn.Conv2d(3, 4, 3))
    expected = copy.deepcopy(model)(images())
    freeze_stages(model, "conv")
    assert torch.allclose(model(images()), expected, atol=1e-6)
