"""`Dataset`: views by id, and changes that make a new one."""

from dataclasses import FrozenInstanceError

import pytest

from sparsedet.annotations import Box, Category, Dataset, Image

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


def test_views_by_id() -> None:
    assert DATASET.image_by_id[1] is IMAGES[1]
    assert DATASET.category_by_id[2].name == "clump"


def test_counts_leave_crowd_regions_out() -> None:
    assert DATASET.counts() == {"cell": 2, "clump": 1}


def test_with_images_takes_annotations_and_background_along() -> None:
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
        IMAGES[0].width = 1
    with pytest.raises(TypeError):
        IMAGES[0].extra["key"] = 1
