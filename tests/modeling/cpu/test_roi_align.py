"""RoIAlign's gradient by sparse matrices: bit-identical to torchvision's."""

from typing import Any

import pytest
import torch
from detectron2.modeling.poolers import ROIPooler, assign_boxes_to_levels
from detectron2.structures import Boxes
from torch import Tensor

from sparsedet.modeling.checkpoint import build
from sparsedet.modeling.cpu import roi_align
from sparsedet.modeling.cpu.roi_align import SparseROIAlign, use_sparse_roi_align
from tests.modeling.steps import settings

SIZES = ((32, 40), (16, 20), (8, 10))


def pooler_of(sampling_ratio: int = 1, kind: str = "ROIAlignV2", *, sparse: bool) -> ROIPooler:
    """Return a pooler of three levels."""
    pooler = ROIPooler(7, (1 / 8, 1 / 16, 1 / 32), sampling_ratio, kind)
    if sparse:
        use_sparse_roi_align(pooler)
    return pooler


def boxes_of(sides: tuple[float, float], count: int) -> Boxes:
    """Draw overlapping boxes, XYXY, on and beyond an image of 320 x 256 pixels."""
    corners = torch.rand(count, 2) * torch.tensor([320.0, 256.0]) - 10
    low, high = sides
    return Boxes(torch.cat([corners, corners + low + (high - low) * torch.rand(count, 2)], dim=1))


def pooled(
    pooler: ROIPooler, boxes: list[Boxes], dtype: torch.dtype | None = None, *, even: bool = False
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
    # The gradient of a sum is one number, at a stride of 0.
    features.backward(torch.ones(()).expand_as(features) if even else torch.randn_like(features))
    return features.detach(), [one.grad for one in maps if one.grad is not None]


@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=["float32", "autocast"])
@pytest.mark.parametrize(
    ("sides", "counts", "levels"),
    [
        ((8, 90), (64, 64, 64, 64), {0}),
        ((8, 900), (64, 64, 64, 64, 64), {0, 1, 2}),
        ((500, 520), (9, 9), {2}),
        ((8, 90), (30, 0, 5), {0}),
        ((8, 900), (0, 40, 0, 0, 12), {0, 1, 2}),
        ((8, 90), (20,), {0}),
        ((8, 90), (0, 0), set()),
    ],
    ids=["one level", "levels", "the last level", "no box", "none at the ends", "one", "none"],
)
def test_features_and_gradients_are_those_of_torchvision(
    sides: tuple[float, float],
    counts: tuple[int, ...],
    levels: set[int],
    dtype: torch.dtype | None,
) -> None:
    torch.manual_seed(0)
    boxes = [boxes_of(sides, count) for count in counts]
    assert set(assign_boxes_to_levels(boxes, 3, 5, 224, 4).tolist()) == levels
    features, gradients = pooled(pooler_of(sparse=True), boxes, dtype)
    expected, expected_gradients = pooled(pooler_of(sparse=False), boxes, dtype)
    assert features.dtype == expected.dtype
    assert torch.equal(features, expected)
    assert len(gradients) == len(expected_gradients) == 3
    assert all(map(torch.equal, gradients, expected_gradients))
    assert {level for level, one in enumerate(gradients) if one.any()} == levels


@pytest.mark.parametrize("kind", ["ROIAlign", "ROIAlignV2"])
@pytest.mark.parametrize("sampling_ratio", [1, 2, 4])
@pytest.mark.parametrize("even", [True, False])
def test_samples_and_layouts_of_any_kind(sampling_ratio: int, even: bool, kind: str) -> None:
    torch.manual_seed(0)
    boxes = [boxes_of((0.5, 900), 20) for _ in range(4)]
    _, gradients = pooled(pooler_of(sampling_ratio, kind, sparse=True), boxes, even=even)
    _, expected = pooled(pooler_of(sampling_ratio, kind, sparse=False), boxes, even=even)
    assert all(map(torch.equal, gradients, expected))


@pytest.mark.parametrize("kind", ["ROIAlign", "ROIAlignV2"])
@pytest.mark.parametrize("sampling_ratio", [0, 3])
def test_samples_that_are_no_power_of_two(sampling_ratio: int, kind: str) -> None:
    """Their weights are rounded in another order."""
    torch.manual_seed(0)
    boxes = [boxes_of((0.0, 900), 20) for _ in range(4)]
    _, gradients = pooled(pooler_of(sampling_ratio, kind, sparse=True), boxes)
    _, expected = pooled(pooler_of(sampling_ratio, kind, sparse=False), boxes)
    torch.testing.assert_close(gradients, expected, rtol=1e-5, atol=1e-5)


def test_a_number_of_samples_for_each_region() -> None:
    """Of one row and one column up to four of each; none where a side is 0."""
    sides = torch.tensor([[20.0, 20], [56, 60], [120, 50], [224, 210], [0, 40], [40, 0]])
    corners = torch.tensor([10.0, 20.0])
    boxes = [Boxes(torch.cat([corners.expand_as(sides), corners + sides], dim=1))] * 2
    _, gradients = pooled(pooler_of(0, sparse=True), boxes)
    _, expected = pooled(pooler_of(0, sparse=False), boxes)
    assert expected[0].any()
    torch.testing.assert_close(gradients, expected, rtol=1e-5, atol=1e-5)


def test_boxes_beyond_the_map_have_no_gradient() -> None:
    beyond = torch.tensor([[-400.0, 10, -300, 90], [10, 900, 90, 999], [1e30, 0, 2e30, 50]])
    _, gradients = pooled(pooler_of(sparse=True), [Boxes(beyond)])
    assert not any(one.any() for one in gradients)


def test_a_box_that_is_no_number_has_no_entry_outside_of_the_matrix() -> None:
    level = SparseROIAlign((7, 7), 1 / 8, 1, aligned=True)
    rois = torch.tensor([[0.0, torch.nan, 0, 50, 50]])
    pixels = roi_align._weights(rois, level, (1, 4, 32, 40)).indices
    assert len(pixels) == 4 * 7 * 7
    assert pixels.min() >= 0
    assert pixels.max() < 32 * 40


def test_detection_and_maps_that_are_not_trained_take_torchvision_s_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(roi_align, "_ROIAlign", None)
    maps = [torch.randn(1, 4, *size) for size in SIZES]
    boxes = [boxes_of((8, 90), 5)]
    assert torch.equal(pooler_of(sparse=True)(maps, boxes), pooler_of(sparse=False)(maps, boxes))


def test_the_model_pools_so() -> None:
    cfg = settings("plain")
    model: Any = build(cfg)
    levels = list(model.roi_heads.box_pooler.level_poolers)
    assert [type(level) for level in levels] == [SparseROIAlign] * 3
    assert [level.spatial_scale for level in levels] == [1 / 8, 1 / 16, 1 / 32]
    assert {(level.output_size, level.sampling_ratio, level.aligned) for level in levels} == {
        ((7, 7), cfg.MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO, True)
    }
