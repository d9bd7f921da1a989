"""IoU of all pairs of boxes."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from sparsedet.annotations.matching import covered_share, iou_matrix

BOXES = [(0, 0, 10, 10), (5, 0, 15, 10), (20, 20, 20, 30), (-5, -5, 5, 5)]


def test_iou_and_covered_share_of_all_pairs() -> None:
    others = [(0, 0, 10, 5), (100, 100, 110, 110)]
    assert iou_matrix(BOXES, others).tolist() == [[0.5, 0], [0.2, 0], [0, 0], [0.2, 0]]
    assert covered_share(BOXES, others).tolist() == [[0.5, 0], [0.25, 0], [0, 0], [0.25, 0]]
    assert iou_matrix([], BOXES).shape == (0, 4)
    assert iou_matrix(BOXES, []).shape == (4, 0)


@pytest.mark.parametrize("of_pairs", [iou_matrix, covered_share])
def test_millions_of_pairs_fit_into_memory(of_pairs: Callable[..., object]) -> None:
    corners = np.random.default_rng(1).uniform(0, 1000, (700, 2))
    boxes = np.hstack([corners, corners + 20])
    tracemalloc.start()
    try:
        of_pairs(boxes, boxes)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 5 * 8 * len(boxes) ** 2
