"""The common RPN's convolution: sparse gradients equal a dense convolution's, at less cost."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from sparsedet.modeling.cpu import rpn_conv, speed_up
from sparsedet.modeling.cpu.rpn_conv import Positions
from sparsedet.modeling.rpn import CommonConv, CommonRPNHead
from sparsedet.modeling.targets import Role
from tests.modeling.steps import CAT, DOG, ELSEWHERE, LABEL, build_model, rows, step

SHAPE = (3, 8, 9, 11)


@pytest.fixture
def sparse_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the number of positions whenever the gradients of positions are worked out."""
    calls: list[int] = []
    gradients = rpn_conv._sparse_gradients

    def noted(gradient: Tensor, positions: Positions, *others: Tensor) -> tuple[Tensor, ...]:
        calls.append(len(positions[0]))
        return gradients(gradient, positions, *others)

    monkeypatch.setattr(rpn_conv, "_sparse_gradients", noted)
    return calls


def conv_of(channels: int = 8) -> CommonConv:
    """Return a convolution with random weights, as the head builds it."""
    torch.manual_seed(1)
    conv = CommonRPNHead(in_channels=channels, num_anchors=3).conv
    assert isinstance(conv, CommonConv)
    nn.init.normal_(conv.weight)
    nn.init.normal_(conv.bias)
    speed_up(conv)
    return conv


def gradients(
    x: Tensor, conv: CommonConv, of_output: Tensor, *, usual: bool = False, autocast: bool = False
) -> list[Tensor]:
    """Return the gradients of input, weights and bias by the convolution, or by a usual one."""
    x, weight, bias = leaves = [
        one.detach().clone().requires_grad_() for one in (x, conv.weight, conv.bias)
    ]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        if usual:
            maps = F.conv2d(x, weight, bias, padding=1).relu()
        else:
            maps = functional_call(conv, {"weight": weight, "bias": bias}, (x,))
    return list(torch.autograd.grad(maps, leaves, of_output.to(maps.dtype)))


def of_output(positions: list[tuple[int, int, int]]) -> Tensor:
    """Return a gradient that is zero but at some positions: image, row, column."""
    gradient = torch.zeros(SHAPE)
    for image, row, column in positions:
        gradient[image, :, row, column] = torch.randn(SHAPE[1])
    return gradient


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    "positions",
    [
        [(0, 4, 5)],
        [(0, 0, 0), (0, 0, 10), (1, 8, 0), (2, 8, 10)],
        [(1, 4, 4), (1, 4, 5), (1, 5, 5), (2, 4, 4)],
        [],
    ],
    ids=["within", "corners", "neighbours", "none"],
)
def test_gradients_of_few_positions_are_a_convolution_s(
    positions: list[tuple[int, int, int]], layout: torch.memory_format, sparse_calls: list[int]
) -> None:
    conv = conv_of()
    x, gradient = (
        one.to(memory_format=layout) for one in (torch.randn(SHAPE), of_output(positions))
    )
    found = gradients(x, conv.to(memory_format=layout), gradient)
    assert sparse_calls == [len(positions)]
    expected = gradients(x, conv, gradient, usual=True)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert any(one.any() for one in expected) == bool(positions)


def test_gradients_of_many_positions_are_a_convolution_s(sparse_calls: list[int]) -> None:
    conv, x, gradient = conv_of(), torch.randn(SHAPE), torch.randn(SHAPE)
    found = gradients(x, conv, gradient)
    assert sparse_calls == []
    torch.testing.assert_close(
        found, gradients(x, conv, gradient, usual=True), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("few", [0.0, 1.0], ids=["dense", "sparse"])
@pytest.mark.parametrize("channels", [4, 2], ids=["both views", "one view"])
def test_gradients_are_the_slopes(
    few: float, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpn_conv, "_FEW", few)
    conv = conv_of(4).double()
    x = torch.randn(2, channels, 3, 4, dtype=torch.float64, requires_grad=True)
    names = ("weight", "bias")

    def maps(x: Tensor, *values: Tensor) -> Tensor:
        found: Tensor = functional_call(conv, dict(zip(names, values, strict=True)), (x,))
        return found

    assert torch.autograd.gradcheck(maps, (x, conv.weight, conv.bias))


def test_autocast_loses_no_more_by_single_positions_than_by_a_convolution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conv, x = conv_of(), torch.randn(SHAPE)
    gradient = of_output([(0, row, column) for row in range(2, 9) for column in range(2, 9)])
    exact = gradients(x, conv, gradient, usual=True)
    errors: list[list[float]] = []
    for few in (1.0, 0.0):
        monkeypatch.setattr(rpn_conv, "_FEW", few)
        found = gradients(x, conv, gradient, autocast=True)
        assert [one.dtype for one in found] == [torch.float32] * 3
        errors.append([float((a - b).norm() / b.norm()) for a, b in zip(found, exact, strict=True)])
    for sparse, dense in zip(*errors, strict=True):
        assert sparse <= dense * 1.1 < 0.02


def test_with_several_threads_it_repeats_itself() -> None:
    """Neighbours add to the same pixels; in parallel their order would be one of chance."""
    conv, x = conv_of(64), torch.randn(2, 64, 40, 40)
    gradient = torch.zeros(2, 64, 40, 40)
    gradient[:, :, 10:24, 10:24] = torch.randn(2, 64, 14, 14)
    usual = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        first, *others = (gradients(x, conv, gradient)[0] for _ in range(20))
    finally:
        torch.set_num_threads(usual)
    assert all(torch.equal(one, first) for one in others)


def test_in_training_only_the_sample_s_gradients_are_worked_out(sparse_calls: list[int]) -> None:
    model = build_model("end-to-end", "MODEL.RPN.BATCH_SIZE_PER_IMAGE", "40")
    one = rows((Role.LABEL, LABEL, CAT))
    losses = step(model, one, rows((Role.LABEL, LABEL, CAT), (Role.LABEL, ELSEWHERE, DOG)))
    torch.autograd.backward([losses["loss_rpn_cls"], losses["loss_rpn_loc"]])
    assert len(sparse_calls) == 3, "a call for each level"
    assert 40 < sum(sparse_calls) <= 80
    assert model.proposal_generator.rpn_head.conv.weight.grad.any()
