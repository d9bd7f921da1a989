"""`Dataset`: look-ups by id, changes that make a new one, and matching of its boxes."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.annotations.matching import covered_share, iou_matrix, match

IMAGES = (
    Image(3, "c.jpg", 40, 30),
    Image(1, "a.jpg", 40, 30, exhaustive=True),
    Image(2, "b.jpg", 40, 30),
)
BOXES = (
    Box(10, 1, 1, (0, 0, 10, 5)),
    Box(5, 3, 2, (1, 1, 4, 4)),
    Box(7, 1, 2, (2, 2, 4, 4), iscrowd=True),
    Box(6, 1, 1, (3, 3, 4, 4)),
)
DATASET = Dataset(
    images=IMAGES,
    boxes=BOXES,
    categories=(Category(1, "cell"), Category(2, "clump")),
    verified_negatives=(Box(1, 3, 1, (0, 0, 2, 2)), Box(2, 1, 1, (0, 0, 2, 2))),
    extra={"info": "kept"},
)


def test_boxes_by_image_keeps_file_order_and_empty_images() -> None:
    grouped = DATASET.boxes_by_image
    assert {image: [box.id for box in boxes] for image, boxes in grouped.items()} == {
        3: [5],
        1: [10, 7, 6],
        2: [],
    }


def test_look_ups_by_id() -> None:
    assert DATASET.image_by_id[1] is IMAGES[1]
    assert DATASET.category_by_id[2].name == "clump"


def test_counts_leave_crowd_regions_out() -> None:
    assert DATASET.counts() == {"cell": 2, "clump": 1}


def test_with_images_takes_annotations_and_negatives_along() -> None:
    part = DATASET.with_images([IMAGES[1], IMAGES[2]])
    assert [image.id for image in part.images] == [1, 2]
    assert [box.id for box in part.boxes] == [10, 7, 6]
    assert [box.id for box in part.verified_negatives] == [2]
    assert part.extra == {"info": "kept"}


def test_with_boxes_leaves_the_original_alone() -> None:
    part = DATASET.with_boxes(box for box in BOXES if box.image_id == 3)
    assert [box.id for box in part.boxes] == [5]
    assert part.boxes_by_image[1] == ()
    assert len(DATASET.boxes) == 4


def test_box_size() -> None:
    assert (BOXES[0].width, BOXES[0].height) == (10, 5)


def test_nothing_can_be_changed_in_place() -> None:
    with pytest.raises(FrozenInstanceError):
        IMAGES[0].width = 1  # type: ignore[misc]  # what is tested: frozen
    with pytest.raises(TypeError):
        IMAGES[0].extra["key"] = 1  # type: ignore[index]  # what is tested: read-only


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
