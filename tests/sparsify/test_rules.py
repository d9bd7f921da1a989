"""What each rule removes, and recipes that can't be satisfied."""

from collections import Counter
from statistics import mean

import pytest
from hypothesis import given

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.errors import RecipeError
from sparsedet.sparsify import Rule, load_recipe, remove_boxes
from sparsedet.sparsify.rules import DropCount, DropFraction, DropImages, KeepAtLeast, KeepCount
from tests.sparsify.datasets import datasets, grid
from tests.sparsify.recipes import SEEDS, SHARES, recipe_of, sizes


@given(datasets(), SEEDS)
def test_easy_drops_one_box_where_a_class_has_two(dataset: Dataset, seed: int) -> None:
    _, removed = remove_boxes(dataset, load_recipe("easy"), seed)
    repeated = {image for (image, _), n in sizes(dataset, "class-in-image").items() if n > 1}
    assert sizes(removed, "image") == Counter(repeated)


@given(datasets(), SEEDS)
def test_hard_drops_half_of_an_image_as_far_as_classes_allow(dataset: Dataset, seed: int) -> None:
    kept, removed = remove_boxes(dataset, load_recipe("hard"), seed)
    assert set(sizes(kept, "class-in-image")) == set(sizes(dataset, "class-in-image"))
    dropped = sizes(removed, "image")
    for image, before in sizes(dataset, "image").items():
        classes = sum(owner == image for owner, _ in sizes(dataset, "class-in-image"))
        spare = before - classes
        assert dropped[image] in {min(before // 2, spare), min(before - before // 2, spare)}


@given(datasets(), SEEDS)
def test_extreme_keeps_one_box_per_image(dataset: Dataset, seed: int) -> None:
    kept, _ = remove_boxes(dataset, load_recipe("extreme"), seed)
    assert sizes(kept, "image") == Counter(set(sizes(dataset, "image")))


@given(datasets(), SEEDS)
def test_keep1_keeps_one_box_per_class_and_image(dataset: Dataset, seed: int) -> None:
    kept, _ = remove_boxes(dataset, load_recipe("keep1"), seed)
    assert sizes(kept, "class-in-image") == Counter(set(sizes(dataset, "class-in-image")))


@given(datasets(), SEEDS, SHARES)
def test_images_lose_all_boxes_or_none(dataset: Dataset, seed: int, share: float) -> None:
    kept, _ = remove_boxes(dataset, recipe_of(DropImages(share)), seed)
    before, after = sizes(dataset, "image"), sizes(kept, "image")
    assert all(after[image] in (0, count) for image, count in before.items())
    assert abs(len(before) - len(after) - share * len(before)) <= 0.5


@pytest.mark.parametrize(("keep", "left"), [(0, 0), (2, 2), (4, 4), (6, 4), (10**30, 4)])
def test_images_with_fewer_boxes_than_are_kept_lose_none(keep: int, left: int) -> None:
    kept, _ = remove_boxes(grid(3, 4), recipe_of(KeepCount(keep)), seed=1)
    assert [len(boxes) for boxes in kept.boxes_by_image.values()] == [left] * 3


def test_boxes_that_a_minimum_protects_are_kept_first() -> None:
    """2 of 6 boxes stay, one of either class, though the last two in order may be of one."""
    names = tuple(Image(i, f"{i}.jpg", 20, 20) for i in range(50))
    boxes = tuple(
        Box(10 * image.id + j, image.id, 1 if j else 2, (j, 0, j + 1, 1))
        for image in names
        for j in range(6)
    )
    dataset = Dataset(names, boxes, (Category(1, "many"), Category(2, "one")))
    rules = KeepCount(2), KeepAtLeast(1, "class-in-image")
    kept, _ = remove_boxes(dataset, recipe_of(*rules), seed=1)
    assert sizes(kept, "class") == {1: 50, 2: 50}


def test_images_on_which_a_minimum_protects_boxes_are_not_emptied() -> None:
    """Half of the images go, none of which is the only one with a class."""
    images = tuple(Image(i, f"{i}.jpg", 20, 20) for i in range(12))
    boxes = tuple(Box(i, i, max(1, i - 7), (0, 0, 5, 5)) for i in range(12))
    dataset = Dataset(images, boxes, tuple(Category(i, f"c{i}") for i in range(1, 5)))
    rules = DropImages(0.5), KeepAtLeast(1, "class")
    kept, removed = remove_boxes(dataset, recipe_of(*rules), seed=1)
    assert len(removed.boxes) == 6
    assert set(sizes(kept, "class")) == {1, 2, 3, 4}


def test_a_minimum_protects_boxes_on_the_images_that_would_go_last() -> None:
    """So it changes nothing where enough other images are there."""
    dataset = grid(10, 1)
    removed = [
        list(remove_boxes(dataset, recipe_of(*rules), seed)[1].boxes)
        for seed in range(5)
        for rules in ((DropImages(0.5),), (DropImages(0.5), KeepAtLeast(3, "class")))
    ]
    assert removed[::2] == removed[1::2]


def test_the_order_of_minimums_does_not_matter() -> None:
    """Of three boxes of one class and one of another, one of each makes two for the image."""
    image = Image(1, "1.jpg", 20, 20)
    boxes = tuple(Box(i, 1, 1 if i else 2, (i, 0, i + 1, 1)) for i in range(4))
    dataset = Dataset((image,), boxes, (Category(1, "many"), Category(2, "one")))
    minimums = KeepAtLeast(2, "image"), KeepAtLeast(1, "class-in-image")
    for seed in range(10):
        for rules in (minimums, minimums[::-1]):
            kept, _ = remove_boxes(dataset, recipe_of(DropCount(4), *rules), seed)
            assert sizes(kept, "class") == {1: 1, 2: 1}


@pytest.mark.parametrize(
    ("boxes", "drop", "expected"),
    [
        # To even, so that over many classes they are rounded up as often as down.
        (1, 0.5, 0),
        (3, 0.5, 2),
        (5, 0.5, 2),
        (7, 0.5, 4),
    ],
)
def test_halves_are_rounded_to_even(boxes: int, drop: float, expected: int) -> None:
    _, removed = remove_boxes(grid(1, boxes), recipe_of(DropFraction(drop)), seed=1)
    assert len(removed.boxes) == expected


def test_random_rounding_meets_the_share_over_many_images() -> None:
    dataset = grid(2000, 3)
    for drop in (0.1, 0.5, 0.75):
        _, removed = remove_boxes(dataset, load_recipe("per-image").with_drop(drop), seed=1)
        by_image = sizes(removed, "image")
        dropped = [by_image[image.id] for image in dataset.images]
        assert set(dropped) <= {int(3 * drop), int(3 * drop) + 1}
        # The standard deviation of the mean is 0.011 at most.
        assert abs(mean(dropped) - 3 * drop) < 0.05


def test_a_second_rule_has_a_random_order_of_its_own() -> None:
    """What the first one left is not in random order; in that order large boxes would stay."""
    images = tuple(Image(i, f"{i}.jpg", 100, 100) for i in range(100))
    boxes = tuple(
        Box(20 * image.id + j, image.id, 1, (0, 0, 10 + 4 * j, 10))
        for image in images
        for j in range(20)
    )
    dataset = Dataset(images, boxes, (Category(1, "thing"),))
    once = recipe_of(DropFraction(0.4, order="small"))
    twice = recipe_of(DropFraction(0.4, order="small"), DropFraction(0.5))
    left, _ = remove_boxes(dataset, once, seed=1)
    rest, _ = remove_boxes(dataset, twice, seed=1)
    widths = [mean(box.width for box in part.boxes) for part in (left, rest)]
    # 600 of 1,200 boxes: a standard error of 0.6 pixels.
    assert abs(widths[0] - widths[1]) < 2.5


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (
            (DropFraction(0.9), KeepAtLeast(2, "image")),
            "recipe composed: can't drop 16 of 18 boxes: keep-at-least holds 6 boxes on 3 images "
            "(0000.jpg, 0001.jpg, 0002.jpg); drop fewer, or keep fewer",
        ),
        (
            (KeepAtLeast(5, "class"), DropFraction(0.9, "class")),
            "can't drop 5 of 6 boxes of class 'class 1': keep-at-least holds 5 boxes on ",
        ),
        (
            (KeepCount(1, "image"), KeepAtLeast(1, "class-in-image")),
            "can't keep only 1 box of every image: keep-at-least holds 9 boxes on 3 images",
        ),
        (
            (KeepCount(2, "dataset"), KeepAtLeast(1, "image")),
            "can't keep only 2 boxes in all: keep-at-least holds 3 boxes on 3 images",
        ),
        (
            (DropImages(0.5), KeepAtLeast(1, "image")),
            "can't drop all boxes of 2 of 3 images: keep-at-least holds 3 boxes on 3 images",
        ),
        (
            (DropCount(3, "image"), DropFraction(0.9), KeepAtLeast(2, "image")),
            "can't drop 8 of 9 boxes: keep-at-least holds 6",
        ),
    ],
)
def test_a_recipe_that_cannot_be_met_says_for_which_images(
    rules: tuple[Rule, ...], message: str
) -> None:
    with pytest.raises(RecipeError) as error:
        remove_boxes(grid(3, 6), recipe_of(*rules), seed=1)
    assert message in str(error.value)


def test_an_error_names_a_few_images_of_many() -> None:
    with pytest.raises(RecipeError, match=r"on 9 images \(0000.jpg, .*0004.jpg and 4 more\)"):
        remove_boxes(grid(9, 2), recipe_of(DropFraction(0.9), KeepAtLeast(1, "image")), seed=1)
