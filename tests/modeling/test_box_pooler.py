"""Pooling of box features: detectron2's to the last bit, its gradient too, in any threads."""

from collections.abc import Iterator

import pytest
import torch
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes
from torch import Tensor

from sparsedet.modeling import box_pooler
from sparsedet.modeling.box_pooler import BoxPooler, ThreadedROIAlign
from sparsedet.modeling.checkpoint import build
from sparsedet.training.methods import apply_method
from sparsedet.training.settings import load_config

POOLING = {
    "output_size": 7,
    "scales": (1 / 8, 1 / 16, 1 / 32),
    "sampling_ratio": 1,
    "pooler_type": "ROIAlignV2",
}
SIZES = ((32, 40), (16, 20), (8, 10))


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Let torch have some threads."""
    usual = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(usual)


def boxes_of(sides: tuple[float, float], count: int) -> Boxes:
    """Draw overlapping boxes, XYXY, on and beyond an image of 320 x 256 pixels."""
    corners = torch.rand(count, 2) * torch.tensor([320.0, 256.0]) - 10
    low, high = sides
    return Boxes(torch.cat([corners, corners + low + (high - low) * torch.rand(count, 2)], dim=1))


def pooled(
    pooler: ROIPooler, boxes: list[Boxes], dtype: torch.dtype | None
) -> tuple[Tensor, list[Tensor]]:
    """Return what is pooled, and the gradients of the maps."""
    torch.manual_seed(1)
    maps = [
        torch.randn(len(boxes), 16, *size)
        .to(memory_format=torch.channels_last)
        .to(dtype or torch.float32)
        .requires_grad_()
        for size in SIZES
    ]
    with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
        features = pooler(maps, boxes)
    features.backward(torch.randn_like(features))
    # Of a level without boxes detectron2 returns zeros.
    return features.detach(), [torch.zeros_like(m) if m.grad is None else m.grad for m in maps]


@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=["float32", "autocast"])
@pytest.mark.parametrize(
    ("sides", "counts"),
    [
        ((8, 90), (64, 64, 64, 64)),
        ((8, 300), (64, 64, 64, 64)),
        ((300, 310), (9, 9)),
        ((8, 90), (30, 0, 5)),
        ((8, 300), (0, 40, 0, 0, 12)),
        ((8, 90), (20,)),
        ((8, 90), (0, 0)),
    ],
    ids=["one level", "levels", "the last level", "no box", "no box at the ends", "one", "none"],
)
def test_features_and_gradients_are_those_of_detectron2(
    sides: tuple[float, float], counts: tuple[int, ...], dtype: torch.dtype | None, threads: int
) -> None:
    torch.manual_seed(0)
    boxes = [boxes_of(sides, count) for count in counts]
    features, gradients = pooled(BoxPooler(**POOLING), boxes, dtype)
    expected, expected_gradients = pooled(ROIPooler(**POOLING), boxes, dtype)
    assert features.dtype == expected.dtype
    assert torch.equal(features, expected)
    assert all(map(torch.equal, gradients, expected_gradients))
    assert any(gradient.any() for gradient in gradients) == (sum(counts) > 0)
    assert torch.get_num_threads() == threads


def test_levels_without_boxes_are_left_alone() -> None:
    pooler = BoxPooler(**POOLING)
    seen = []
    for level, pool in enumerate(pooler.level_poolers):
        pool.register_forward_hook(lambda *_, level=level: seen.append(level))
    maps = [torch.randn(2, 4, *size) for size in SIZES]
    pooler(maps, [boxes_of((8, 90), 3), boxes_of((8, 90), 3)])
    assert seen == [0]
    pooler(maps, [boxes_of((8, 90), 3), boxes_of((300, 310), 3)])
    assert seen == [0, 0, 1, 2]


def test_the_gradient_is_calculated_in_threads_that_work_alone(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    asked: list[int] = []
    original = box_pooler._threads

    def noted(count: int) -> object:
        asked.append(count)
        return original(count)

    monkeypatch.setattr(box_pooler, "_threads", noted)
    pooled(BoxPooler(**POOLING), [boxes_of((8, 90), 9) for _ in range(4)], None)
    assert asked == [threads - 1] * (threads - 1)
    if threads > 1:
        work = [original(threads - 1).submit(torch.get_num_threads) for _ in range(9)]
        assert {one.result() for one in work} == {1}


def test_the_model_pools_so() -> None:
    cfg = load_config("lite0_fpn")
    apply_method(cfg, "plain")
    cfg.MODEL.DEVICE = "cpu"
    pooler = build(cfg).roi_heads.box_pooler
    assert isinstance(pooler, BoxPooler)
    levels = list(pooler.level_poolers)
    assert [type(level) for level in levels] == [ThreadedROIAlign] * 3
    assert [level.spatial_scale for level in levels] == [1 / 8, 1 / 16, 1 / 32]
    assert {(level.output_size, level.sampling_ratio, level.aligned) for level in levels} == {
        ((7, 7), cfg.MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO, True)
    }
