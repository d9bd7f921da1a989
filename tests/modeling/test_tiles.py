"""Tiles cover an image, and an object in several of them is detected once."""

import itertools

import numpy as np
import pytest

from sparsedet.modeling.tiles import Tile, is_cut, merge, tiles_of


@pytest.mark.parametrize(
    ("width", "height", "count"), [(100, 100, 1), (101, 100, 2), (180, 100, 2), (181, 340, 12)]
)
def test_tiles_cover_the_image_and_overlap(width: int, height: int, count: int) -> None:
    tiles = tiles_of(width, height, 100)
    assert len(tiles) == count
    covered = np.zeros((height, width), bool)
    for tile in tiles:
        assert tile.right - tile.left == tile.bottom - tile.top == 100
        covered[tile.top : tile.bottom, tile.left : tile.right] = True
    assert covered.all()
    lefts = sorted({tile.left for tile in tiles})
    assert all(b - a <= 80 for a, b in itertools.pairwise(lefts))


def test_boxes_at_inner_edges_are_cut() -> None:
    boxes = np.array([[0.0, 10, 30, 30], [60, 10, 99.5, 30], [40, 60, 60, 100]])
    assert is_cut(boxes, Tile(0, 0, 100, 100), 150, 100).tolist() == [False, True, False]


def test_one_object_is_one_box() -> None:
    whole = [50.0, 10, 90, 50]
    boxes = np.array([[50.0, 10, 75, 50], whole, [52, 11, 91, 50], whole, [200, 0, 210, 10]])
    scores = np.array([0.95, 0.8, 0.7, 0.6, 0.1])
    classes = np.array([1, 1, 1, 2, 1])
    cut = np.array([True, False, False, False, True])
    views = np.arange(5)
    # The surer part is a part of a whole one; the other class's box stays.
    assert merge(boxes, scores, classes, cut, views).tolist() == [1, 3, 4]
    assert merge(boxes[:0], scores[:0], classes[:0], cut[:0], views[:0]).tolist() == []


def test_boxes_of_one_view_are_different_objects() -> None:
    """Soft-NMS, or a high threshold of NMS, let both pass; another view shows one of them again."""
    boxes = np.array([[10.0, 10, 50, 50], [14, 10, 54, 50], [10, 11, 50, 51]])
    scores, classes = np.array([0.9, 0.8, 0.7]), np.array([1, 1, 1])
    cut = np.array([False, False, False])
    assert merge(boxes, scores, classes, cut, np.array([0, 0, 1])).tolist() == [0, 1]
