"""The common RPN's convolution: its gradients are a usual convolution's, at less cost."""

import pytest
import torch
import torch.nn.functional as F
from detectron2.modeling.proposal_generator.rpn import StandardRPNHead
from torch import Tensor, nn

from sparsedet.modeling import common_rpn
from sparsedet.modeling.common_rpn import CommonConv, CommonRPNHead
from sparsedet.modeling.targets import Role
from tests.modeling.boxes import rows
from tests.modeling.steps import CAT, DOG, ELSEWHERE, LABEL, build_model, step

SHAPE = (3, 8, 9, 11)


@pytest.fixture
def sparse_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the number of positions whenever the gradients of positions are worked out."""
    calls: list[int] = []
    gradients = common_rpn._sparse_gradients

    def noted(gradient: Tensor, *others: object) -> object:
        calls.append(len(gradient))
        return gradients(gradient, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(common_rpn, "_sparse_gradients", noted)
    return calls


def conv_of(channels: int = 8) -> CommonConv:
    """Return a convolution with random weights, as the head builds it."""
    torch.manual_seed(1)
    conv = CommonRPNHead(in_channels=channels, num_anchors=3).conv
    assert isinstance(conv, CommonConv)
    nn.init.normal_(conv.weight)
    nn.init.normal_(conv.bias)
    return conv


def gradients(x: Tensor, conv: CommonConv, of_output: Tensor, *, usual: bool) -> list[Tensor]:
    """Return the gradients of input, weights and bias by the convolution, or by a usual one."""
    leaves = [one.detach().clone().requires_grad_() for one in (x, conv.weight, conv.bias)]
    if usual:
        maps = F.conv2d(*leaves, padding=1).relu()
    else:
        maps = torch.func.functional_call(
            conv, {"weight": leaves[1], "bias": leaves[2]}, (leaves[0],)
        )
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
    found = gradients(x, conv.to(memory_format=layout), gradient, usual=False)
    assert sparse_calls == [len(positions)]
    expected = gradients(x, conv, gradient, usual=True)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert any(one.any() for one in expected) == bool(positions)


def test_gradients_of_many_positions_are_a_convolution_s(sparse_calls: list[int]) -> None:
    conv, x, gradient = conv_of(), torch.randn(SHAPE), torch.randn(SHAPE)
    found = gradients(x, conv, gradient, usual=False)
    assert sparse_calls == []
    torch.testing.assert_close(
        found, gradients(x, conv, gradient, usual=True), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("positions", [[(0, 4, 5), (2, 0, 0)], None], ids=["few", "many"])
def test_a_shorter_type_of_autocast(positions: list[tuple[int, int, int]] | None) -> None:
    conv, x = conv_of(), torch.randn(SHAPE)
    gradient = torch.randn(SHAPE) if positions is None else of_output(positions)
    with torch.autocast("cpu", torch.bfloat16):
        found = gradients(x, conv, gradient, usual=False)
        expected = gradients(x, conv, gradient, usual=True)
    assert [one.dtype for one in found] == [torch.float32] * 3
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.3)


def test_maps_of_one_view_stand_in_both_halves() -> None:
    conv, view = conv_of(8), torch.randn(1, 4, 9, 11)
    torch.testing.assert_close(conv(view), conv(torch.cat([view, view], dim=1)))
    assert conv(view).min() == 0, "activated"


def test_of_several_convolutions_only_the_first_takes_one_view_for_both() -> None:
    head = CommonRPNHead(in_channels=8, num_anchors=3, conv_dims=[6, -1])
    view = torch.randn(1, 4, 9, 11)
    both = torch.cat([view, view], dim=1)
    torch.testing.assert_close(head([view]), head([both]))


def test_names_and_first_values_are_those_of_detectron2_s_head() -> None:
    heads: list[nn.Module] = []
    for kind in (CommonRPNHead, StandardRPNHead):
        torch.manual_seed(0)
        heads.append(kind(in_channels=8, num_anchors=3))
    own, usual = (head.state_dict() for head in heads)
    assert list(own) == list(usual)
    assert all(torch.equal(own[name], usual[name]) for name in usual)


def test_in_training_only_the_sample_s_gradients_are_worked_out(sparse_calls: list[int]) -> None:
    model = build_model("end-to-end", "MODEL.RPN.BATCH_SIZE_PER_IMAGE", "40")
    one = rows((Role.LABEL, LABEL, CAT))
    losses = step(model, one, rows((Role.LABEL, LABEL, CAT), (Role.LABEL, ELSEWHERE, DOG)))
    (losses["loss_rpn_cls"] + losses["loss_rpn_loc"]).backward()
    assert len(sparse_calls) == 3, "a call for each level"
    assert 40 < sum(sparse_calls) <= 80
    assert model.proposal_generator.rpn_head.conv.weight.grad.any()
