"""Packed images: equal to the originals, and immutable."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparsedet.annotations import Image
from sparsedet.modeling.targets import Role
from sparsedet.training.data.packed_dataset import PackedDataset, TrainingImage


def image(number: int, name: str, boxes: int, folder: str = "images") -> TrainingImage:
    rng = np.random.default_rng(number)
    return TrainingImage(
        Image(2**62 + number, name, width=300 + number, height=200, exhaustive=number % 2 == 0),
        Path(folder),
        rng.random((boxes, 4)).astype(np.float32),
        rng.integers(0, 9, boxes),
        rng.integers(0, 2, boxes),
        rng.random(boxes).astype(np.float32),
    )


IMAGES = [
    image(1, "a.png", 2),
    image(2, "unter/größe.jpg", 0),
    image(3, "\ud800.jpg", 1, "others"),
    image(4, "b.png", 3),
]


def same(first: TrainingImage, second: TrainingImage) -> bool:
    arrays = ("boxes", "classes", "roles", "weights")
    return (first.source, first.folder) == (second.source, second.folder) and all(
        np.array_equal(getattr(first, name), getattr(second, name))
        and getattr(first, name).dtype == getattr(second, name).dtype
        for name in arrays
    )


def test_what_was_packed_comes_out() -> None:
    packed = PackedDataset(iter(IMAGES))
    assert len(packed) == 4
    assert all(same(*pair) for pair in zip(packed, IMAGES, strict=True))
    assert same(packed[-1], IMAGES[-1])
    assert all(same(*pair) for pair in zip(packed[1:3], IMAGES[1:3], strict=True))
    assert PackedDataset.of(packed) is packed
    assert packed.sizes.tolist() == [[200, 301], [200, 302], [200, 303], [200, 304]]
    with pytest.raises(IndexError):
        packed[4]


def test_nothing_may_be_packed() -> None:
    packed = PackedDataset([])
    assert len(packed) == 0
    assert [len(part) for part in packed.labels()] == [0, 0]


def test_labels_are_those_of_people_and_of_mining() -> None:
    roles = np.array([Role.IGNORE_REGION, Role.MINED, Role.VERIFIED_NEGATIVE])
    packed = PackedDataset([*IMAGES[:3], replace(IMAGES[3], roles=roles)])
    places, classes = packed.labels()
    expected = [
        (place, int(number))
        for place, one in enumerate(packed)
        for number in one.classes[one.labels]
    ]
    assert list(zip(places.tolist(), classes.tolist(), strict=True)) == expected
    assert places.tolist().count(3) == 1


def test_the_images_are_read_only() -> None:
    packed = PackedDataset(IMAGES)
    with pytest.raises(ValueError, match="read-only"):
        packed[0].boxes[0] = 0
