"""A backbone on a CPU: frozen stages in parts, and in-place ReLU6, bit-identical to torch's."""

from collections import Counter

import pytest
import timm
import torch
from torch import Tensor, nn

from sparsedet.modeling.cpu import speed_up
from sparsedet.modeling.cpu.backbone import InParts, InPlaceReLU6, use_in_place_relu6
from sparsedet.modeling.timm_backbone import TimmBackbone
from tests.modeling.steps import build_model

LEVELS = ["c3", "c4", "c5"]
_MEBI = 2**20
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])


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
    name: str, out_indices: tuple[int, ...], sequences: int
) -> None:
    torch.manual_seed(0)
    model = timm.create_model(name, features_only=True, out_indices=out_indices)
    body = TimmBackbone(model, LEVELS, freeze_through="c3")
    names = [key for key, _ in body.named_parameters()]
    images = torch.randn(5, 3, 64, 96)
    whole = body(images)
    speed_up(body)
    assert [key for key, _ in body.named_parameters()] == names
    split = [module for module in body.modules() if isinstance(module, InParts)]
    assert len(split) == sequences
    sizes: list[int] = []
    for sequence in split:
        sequence[0].register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))

    found = body(images)
    assert sizes == [2, 2, 1] * sequences
    for level in LEVELS:
        # A convolution of one image may be calculated in another way than one of several.
        torch.testing.assert_close(found[level], whole[level], rtol=1e-4, atol=1e-5)
    found["c5"].square().mean().backward()
    learns = {key for key, value in body.named_parameters() if value.grad is not None}
    assert learns == {key for key, value in body.named_parameters() if value.requires_grad}


def _values(dtype: torch.dtype = torch.float32) -> Tensor:
    """Values on all sides of both corners, on them, and none at all."""
    torch.manual_seed(0)
    corners = torch.tensor([-0.0, 0.0, 6.0, -1e-38, 1e-38, 5.9999995, 6.0000005, float("nan")])
    return torch.cat([4 * torch.randn(1000), corners]).to(dtype)


def _trained(activation: nn.Module, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the activation's output and the gradient before it."""
    x = _values(dtype).requires_grad_()
    output = activation(x * 1)
    torch.manual_seed(1)
    torch.autograd.backward(output, torch.randn_like(output))
    assert x.grad is not None
    return output.detach(), x.grad


@DTYPES
def test_output_and_gradient_are_those_of_torch_to_the_last_bit(dtype: torch.dtype) -> None:
    found, expected = _trained(InPlaceReLU6(), dtype), _trained(nn.ReLU6(), dtype)
    for ours, torchs in zip(found, expected, strict=True):
        assert torch.equal(ours.view(torch.uint8), torchs.view(torch.uint8))


def test_it_works_in_place() -> None:
    x = _values()
    with torch.inference_mode():
        output = InPlaceReLU6()(x)
    assert output.data_ptr() == x.data_ptr()


def test_the_overwritten_tensor_has_the_gradient_of_the_output() -> None:
    x = torch.tensor([-1.0, 3.0, 7.0], requires_grad=True)
    overwritten = x * 1
    InPlaceReLU6()(overwritten)
    torch.autograd.backward(overwritten.sum())
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 0]


def test_a_gradient_that_needs_the_overwritten_values_is_refused() -> None:
    x = _values().requires_grad_()
    squared = x.square()
    square_of_square = squared.square()
    InPlaceReLU6()(squared)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.backward(square_of_square.sum())


def test_only_activations_in_place_are_replaced() -> None:
    model = nn.Sequential(
        nn.Sequential(nn.ReLU6(inplace=True)), nn.ReLU6(), nn.Hardswish(inplace=True)
    )
    use_in_place_relu6(model)
    kinds = [type(module) for module in model.modules() if not isinstance(module, nn.Sequential)]
    assert kinds == [InPlaceReLU6, nn.ReLU6, nn.Hardswish]


def test_nothing_is_kept_beside_the_output() -> None:
    def kept(activation: nn.Module) -> int:
        """Return the bytes that the graph keeps for the gradient of an activation."""
        storages: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        x = torch.randn(_MEBI, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            output = activation(x * 1)
        storages.pop(output.untyped_storage().data_ptr(), None)
        return sum(storages.values())

    assert kept(InPlaceReLU6()) == 0
    assert kept(nn.ReLU6(inplace=True)) == 4 * _MEBI


def test_models_are_built_so() -> None:
    kinds = Counter(type(module) for module in build_model("plain").backbone.modules())
    assert kinds[InParts] == 3
    assert kinds[InPlaceReLU6] > 0 == kinds[nn.ReLU6]
