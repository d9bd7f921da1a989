"""IoU and one-to-one matching."""

import numpy as np
import pytest

from sparsedet.annotations.matching import covered_share, iou_matrix, match


@pytest.mark.parametrize(
    ("box", "other", "iou"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0.0),
        ((0, 0, 10, 10), (20, 20, 30, 30), 0.0),
        ((0, 0, 10, 10), (2, 2, 4, 4), 0.04),
        ((5, 5, 5, 5), (5, 5, 5, 5), 0.0),
    ],
)
def test_iou(box: tuple[int, ...], other: tuple[int, ...], iou: float) -> None:
    assert iou_matrix([box], [other]) == pytest.approx(iou)


def test_covered_share_is_of_the_first_box() -> None:
    shares = covered_share([(0, 0, 10, 10), (0, 0, 40, 10)], [(5, 0, 15, 10)])
    assert shares.tolist() == [[0.5], [0.25]]


def test_iou_of_nothing_has_a_shape() -> None:
    assert iou_matrix([], [(0, 0, 1, 1)]).shape == (0, 1)
    assert iou_matrix([(0, 0, 1, 1)], []).shape == (1, 0)


@pytest.mark.parametrize(
    ("overlap", "matches"),
    [
        ([[0.9, 0.6], [0.8, 0.1]], [0, -1]),
        ([[0.6, 0.9], [0.8, 0.1]], [1, 0]),
        ([[0.4], [0.5]], [-1, 0]),
        ([[0.7, 0.7], [0.7, 0.7], [0.7, 0.7]], [0, 1, -1]),
    ],
)
def test_matching_is_one_to_one_and_the_first_row_chooses_first(
    overlap: list[list[float]], matches: list[int]
) -> None:
    assert match(np.array(overlap), 0.5).tolist() == matches


def test_matching_against_nothing() -> None:
    assert match(np.zeros((2, 0)), 0.5).tolist() == [-1, -1]
