"""ReLU6 in place: torch's to the last bit, with less memory."""

import pytest
import torch
from torch import Tensor, nn

from sparsedet.modeling.cpu.relu6 import InPlaceReLU6
from sparsedet.modeling.frozen_norms import fold_frozen_norms

_MEBI = 2**20


DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])


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
    output.backward(torch.randn_like(output))
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
    overwritten.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 0]


def test_a_gradient_that_needs_the_overwritten_values_is_refused() -> None:
    x = _values().requires_grad_()
    squared = x.square()
    square_of_square = squared.square()
    InPlaceReLU6()(squared)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        square_of_square.sum().backward()


def test_only_activations_in_place_are_replaced() -> None:
    def folded(act: nn.Module) -> nn.Module:
        norm = nn.BatchNorm2d(4)
        norm.act = act
        model = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), norm)
        fold_frozen_norms(model)
        return model[1]

    assert isinstance(folded(nn.ReLU6(inplace=True)), InPlaceReLU6)
    assert type(folded(nn.ReLU6())) is nn.ReLU6
    assert type(folded(nn.Hardswish(inplace=True))) is nn.Hardswish


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
