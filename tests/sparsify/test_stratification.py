"""Classes have their share of boxes in validation, and exhaustive images go there first."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.sparsify import GroupBy, Validation, split_train_val


def dataset_of(
    classes: Sequence[Sequence[int]], exhaustive: Sequence[bool] = (), names: Sequence[str] = ()
) -> Dataset:
    """Return images with one box of each of the given classes."""
    images = tuple(
        Image(i, names[i] if names else f"{i:05}.jpg", 9, 9, bool(exhaustive and exhaustive[i]))
        for i in range(len(classes))
    )
    boxes = [(i, category) for i, held in enumerate(classes) for category in held]
    return Dataset(
        images,
        tuple(Box(n, i, category, (0, 0, 5, 5)) for n, (i, category) in enumerate(boxes)),
        tuple(Category(number, f"class {number}") for number in range(1, 21)),
    )


def long_tail(images: int, seed: int) -> list[list[int]]:
    """Return the classes of images: class 1 is common, class 20 is rare."""
    rng = np.random.default_rng(seed)
    chances = 1 / np.arange(1, 21) ** 1.3
    return [
        rng.choice(20, rng.integers(0, 8), p=chances / chances.sum()).__add__(1).tolist()
        for _ in range(images)
    ]


def shares(train: Dataset, val: Dataset) -> dict[str, float]:
    left, held = train.counts(), val.counts()
    return {
        name: held[name] / (left[name] + held[name]) for name in left if left[name] + held[name]
    }


# 2,000 images are too many for exchanges between the sides: drawing alone has to do there.
@pytest.mark.parametrize(("images", "allowed"), [(300, 0.03), (2000, 0.02)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_class_has_its_share(images: int, allowed: float, seed: int) -> None:
    full = dataset_of(long_tail(images, seed))
    train, val = split_train_val(full, Validation(0.2), seed)
    assert len(val.images) == images / 5
    counts = full.counts()
    for name, share in shares(train, val).items():
        # Half a box is what rounding costs.
        assert abs(share - 0.2) <= allowed + 0.5 / counts[name], (name, share)


def test_images_without_boxes_are_spread_too() -> None:
    full = dataset_of([[1]] * 60 + [[]] * 40)
    for seed in range(5):
        _, val = split_train_val(full, Validation(0.2), seed)
        assert (len(val.images), len(val.boxes)) == (20, 12)


def test_a_class_of_one_image_stays_in_training() -> None:
    full = dataset_of([[1], [1], [1], [1], [1, 2], [1, 2, 3]])
    for seed in range(20):
        train, val = split_train_val(full, Validation(0.4), seed)
        assert train.counts()["class 3"] == 1
        assert val.counts()["class 2"] == 1


def test_images_with_classes_of_their_own_stay_in_training() -> None:
    full = dataset_of([[1, number] for number in range(2, 12)] + [[]] * 30)
    for seed in range(5):
        _, val = split_train_val(full, Validation(0.2), seed)
        assert (len(val.images), len(val.boxes)) == (8, 0)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.8])
def test_rare_classes_are_trained_and_measured(share: float) -> None:
    for seed in range(10):
        classes = long_tail(150, seed)
        train, val = split_train_val(dataset_of(classes), Validation(share), seed)
        held = shares(train, val)
        rare = [n for n in range(1, 21) if 1 < sum(n in found for found in classes) < 10]
        assert rare
        for number in rare:
            assert 0 < held[f"class {number}"] < 1


@pytest.mark.parametrize(
    ("classes", "share"),
    [([[1, 2], [1, 2], [1, 3], [2, 3]], 0.375), ([[1, 1], [1, 2], [2, 3]], 0.5)],
)
def test_a_box_too_many_is_better_than_none(classes: list[list[int]], share: float) -> None:
    empty: list[list[int]] = [[]] * 8
    for seed in range(10):
        _, val = split_train_val(dataset_of(empty + classes), Validation(share), seed)
        for number in (1, 2):
            assert val.counts()[f"class {number}"] > 0


def test_crowd_regions_do_not_count() -> None:
    full = dataset_of([[1]] * 40)
    crowd = full.with_boxes(replace(box, iscrowd=box.id < 20) for box in full.boxes)
    for seed in range(5):
        _, val = split_train_val(crowd, Validation(0.2), seed)
        assert val.counts()["class 1"] == 4


def test_groups_come_nearer_to_the_shares_than_by_chance() -> None:
    rng = np.random.default_rng(0)
    names = [f"video{rng.integers(40)}/{i}.jpg" for i in range(400)]
    full = dataset_of(long_tail(400, 0), names=names)

    def missed(train: Dataset, val: Dataset) -> float:
        return sum((share - 0.25) ** 2 for share in shares(train, val).values())

    def by_chance() -> tuple[Dataset, Dataset]:
        chosen = {f"video{number}/" for number in rng.choice(40, 10, replace=False)}
        sides = [any(name.startswith(video) for video in chosen) for name in names]
        train, val = (
            full.with_images(i for i, held in zip(full.images, sides, strict=True) if held is side)
            for side in (False, True)
        )
        return train, val

    best = min(missed(*by_chance()) for _ in range(100))
    for seed in range(3):
        train, val = split_train_val(full, Validation(0.25, GroupBy("folder")), seed)
        assert abs(len(val.images) - 100) <= 10
        assert missed(train, val) < best


def test_a_giant_group_is_left_to_training() -> None:
    names = [f"big/{i}" for i in range(80)] + [f"small{i % 4}/{i}" for i in range(20)]
    full = dataset_of([[1, 2]] * 100, names=names)
    for seed in range(5):
        _, val = split_train_val(full, Validation(0.1, GroupBy("folder")), seed)
        assert len(val.images) == 10
        assert not any(image.file_name.startswith("big") for image in val.images)


def test_the_number_of_images_counts_as_much_as_all_classes() -> None:
    # Ten classes would have their very share with the 4 images of the first group.
    every = list(range(1, 11))
    classes = [every] * 4 + [[]] * 18 + [every] * 2 + [every] * 14 + [[]] * 62
    names = [f"{(i >= 4) + (i >= 24)}/{i}" for i in range(100)]
    _, val = split_train_val(
        dataset_of(classes, names=names), Validation(0.2, GroupBy("folder")), seed=1
    )
    assert len(val.images) == 24


def test_of_two_groups_one_is_left_to_training() -> None:
    full = dataset_of([[1]] * 20, names=[f"{i % 2}/{i}" for i in range(20)])
    train, val = split_train_val(full, Validation(0.9, GroupBy("folder")), seed=1)
    assert len(train.images) == len(val.images) == 10


def test_groups_larger_than_the_share_leave_the_nearest_one() -> None:
    names = [f"{'a' if i < 40 else 'b'}/{i}" for i in range(100)]
    full = dataset_of([[1]] * 100, names=names)
    train, val = split_train_val(full, Validation(0.1, GroupBy("folder")), seed=1)
    assert (len(train.images), len(val.images)) == (60, 40)


@pytest.mark.parametrize("marked", [5, 20, 60])
@pytest.mark.parametrize("images", [100, 2000])
def test_exhaustive_images_are_preferred(marked: int, images: int) -> None:
    exhaustive = [i % 100 < marked for i in range(images)]
    full = dataset_of([[1 + i % 3] for i in range(images)], exhaustive)
    train, val = split_train_val(full, Validation(0.2), seed=1)
    found = sum(image.exhaustive for image in val.images)
    assert found == min(marked * images / 100, images / 5)
    assert all(abs(share - 0.2) < 0.025 for share in shares(train, val).values())


@pytest.mark.parametrize("marked", [18, 50])
def test_classes_count_more_than_exhaustive_images(marked: int) -> None:
    # Class 2 is never exhaustive; without it validation could not measure it.
    full = dataset_of([[1]] * 50 + [[2]] * 50, [i < marked for i in range(100)])
    train, val = split_train_val(full, Validation(0.2), seed=1)
    assert shares(train, val)["class 2"] > 0.1
