"""Invariants of removing boxes, for any recipe and dataset."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sparsedet.annotations import Box, Dataset
from sparsedet.errors import RecipeError
from sparsedet.sparsify import Recipe, load_recipe, remove_boxes
from sparsedet.sparsify.rules import DropFraction, KeepAtLeast
from tests.sparsify.datasets import datasets, grid, scenes
from tests.sparsify.recipes import (
    FRACTIONS,
    MINIMUMS,
    NAMED,
    RECIPES,
    SEEDS,
    SHARES,
    composed,
    recipe_of,
    sizes,
)

ANY = st.one_of(datasets(), scenes())
NESTED = st.one_of(
    NAMED.filter(lambda recipe: any(isinstance(rule, DropFraction) for rule in recipe.rules)),
    composed(last=FRACTIONS),
)


def _ids(dataset: Dataset) -> set[int]:
    return {box.id for box in dataset.boxes}


def _removed(dataset: Dataset, recipe: Recipe, seed: int) -> set[int]:
    return _ids(remove_boxes(dataset, recipe, seed)[1])


def _parts(dataset: Dataset, recipe: Recipe, seed: int) -> tuple[Dataset, Dataset]:
    """Apply a recipe; one that its minimums make impossible is no example."""
    try:
        return remove_boxes(dataset, recipe, seed)
    except RecipeError:
        assert any(isinstance(rule, KeepAtLeast) for rule in recipe.rules)
        assume(False)
        raise


@given(ANY, RECIPES, SEEDS)
def test_kept_and_removed_partition_the_boxes_in_order(
    dataset: Dataset, recipe: Recipe, seed: int
) -> None:
    kept, removed = _parts(dataset, recipe, seed)
    assert not _ids(kept) & _ids(removed)
    for part in (kept, removed):
        assert list(part.boxes) == [box for box in dataset.boxes if box.id in _ids(part)]
    assert len(kept.boxes) + len(removed.boxes) == len(dataset.boxes)


@given(datasets(), RECIPES, SEEDS)
def test_images_categories_and_unknown_keys_stay(
    dataset: Dataset, recipe: Recipe, seed: int
) -> None:
    for part in _parts(dataset, recipe, seed):
        assert [image.id for image in part.images] == [image.id for image in dataset.images]
        assert [image.extra for image in part.images] == [image.extra for image in dataset.images]
        assert part.categories == dataset.categories
        assert part.extra == dataset.extra


@given(ANY, RECIPES, SEEDS)
def test_crowd_regions_are_neither_dropped_nor_counted(
    dataset: Dataset, recipe: Recipe, seed: int
) -> None:
    _, removed = _parts(dataset, recipe, seed)
    assert not any(box.iscrowd for box in removed.boxes)
    without = dataset.with_boxes(box for box in dataset.boxes if not box.iscrowd)
    assert _ids(removed) == _removed(without, recipe, seed)


@given(ANY, RECIPES, SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_the_file_does_not_matter(
    dataset: Dataset, recipe: Recipe, seed: int, shuffler: random.Random
) -> None:
    shuffled = replace(
        dataset,
        images=_shuffled(dataset.images, shuffler),
        boxes=_shuffled(dataset.boxes, shuffler),
        categories=_shuffled(dataset.categories, shuffler),
    )
    outcomes: list[set[int] | str] = []
    for version in (dataset, shuffled):
        try:
            outcomes.append(_removed(version, recipe, seed))
        except RecipeError as error:
            # Which of several classes is named first may depend on their order.
            outcomes.append("class" if "of class" in str(error) else str(error))
    assert outcomes[0] == outcomes[1]


def _shuffled(items: Sequence[Any], shuffler: random.Random) -> tuple[Any, ...]:
    return tuple(shuffler.sample(items, len(items)))


@given(ANY, NESTED, SEEDS, SHARES, SHARES)
def test_a_higher_drop_removes_a_superset(
    dataset: Dataset, recipe: Recipe, seed: int, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    _, more = _parts(dataset, recipe.with_drop(high), seed)
    # What can be met with a higher drop can be met with a lower one.
    fewer = _removed(dataset, recipe.with_drop(low), seed)
    assert fewer <= _ids(more)


@given(ANY, SEEDS, SHARES, SHARES)
def test_a_higher_share_of_bare_images_removes_a_superset(
    dataset: Dataset, seed: int, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    recipe = load_recipe("images-x-boxes")
    fewer, more = (
        _removed(dataset, recipe.with_parameter("share", share), seed) for share in (low, high)
    )
    assert fewer <= more


@given(ANY, RECIPES, SEEDS)
def test_minimums_stay(dataset: Dataset, recipe: Recipe, seed: int) -> None:
    kept, _ = _parts(dataset, recipe, seed)
    for rule in recipe.rules:
        if isinstance(rule, KeepAtLeast):
            left = sizes(kept, rule.per)
            for group, before in sizes(dataset, rule.per).items():
                assert left[group] >= min(before, rule.count)


@given(ANY, FRACTIONS, st.none() | MINIMUMS, SEEDS)
def test_shares_are_met_within_their_rounding(
    dataset: Dataset, rule: DropFraction, minimum: KeepAtLeast | None, seed: int
) -> None:
    rules = (rule, minimum) if minimum else (rule,)
    _, removed = _parts(dataset, recipe_of(*rules), seed)
    dropped = sizes(removed, rule.per)
    for group, before in sizes(dataset, rule.per).items():
        quota = rule.drop * before
        if rule.per in ("dataset", "class"):
            assert abs(dropped[group] - quota) <= 0.5
        else:
            assert dropped[group] <= math.ceil(quota)
            assert minimum or dropped[group] >= math.floor(quota)


@given(
    ANY,
    st.lists(MINIMUMS.filter(lambda rule: rule.per != "class"), min_size=1, max_size=3),
    SEEDS,
)
def test_no_more_stays_than_minimums_ask_for(
    dataset: Dataset, minimums: list[KeepAtLeast], seed: int
) -> None:
    """A box that one minimum protects counts for those of wider groups."""
    kept, _ = remove_boxes(dataset, recipe_of(DropFraction(1.0, "image"), *minimums), seed)
    before = {rule.per: sizes(dataset, rule.per) for rule in minimums}
    after = {rule.per: sizes(kept, rule.per) for rule in minimums}
    for box in kept.boxes:
        groups = {per: next(iter(sizes(kept.with_boxes([box]), per)), None) for per in before}
        assert box.iscrowd or any(
            after[rule.per][groups[rule.per]] <= min(before[rule.per][groups[rule.per]], rule.count)
            for rule in minimums
        )


@given(ANY, NAMED, SEEDS)
def test_an_image_that_lost_a_box_is_no_longer_exhaustive(
    dataset: Dataset, recipe: Recipe, seed: int
) -> None:
    kept, removed = remove_boxes(dataset, recipe, seed)
    incomplete = {box.image_id for box in removed.boxes}
    for before, after in zip(dataset.images, kept.images, strict=True):
        assert after.exhaustive == (before.exhaustive and before.id not in incomplete)
    assert not any(image.exhaustive for image in removed.images)


@given(ANY, NAMED, SEEDS)
def test_a_class_that_lost_a_box_is_no_longer_complete_on_the_image(
    dataset: Dataset, recipe: Recipe, seed: int
) -> None:
    images = tuple(
        replace(image, complete_classes=frozenset({1, 2, 99})) for image in dataset.images
    )
    kept, removed = remove_boxes(replace(dataset, images=images), recipe, seed)
    lost = {(box.image_id, box.category_id) for box in removed.boxes}
    for image in kept.images:
        assert image.complete_classes == {id for id in (1, 2, 99) if (image.id, id) not in lost}
    assert not any(image.complete_classes for image in removed.images)


def test_verified_negatives_stay_with_the_kept_boxes() -> None:
    rejected = Box(1, 0, 1, (5, 5, 9, 9))
    dataset = replace(grid(2, 4), verified_negatives=(rejected,))
    kept, removed = remove_boxes(dataset, load_recipe("random"), seed=1)
    assert kept.verified_negatives == (rejected,)
    assert removed.verified_negatives == ()


@pytest.mark.parametrize("images", [0, 3])
def test_without_boxes_there_is_nothing_to_remove(images: int) -> None:
    for dataset in (grid(images, 0), replace(grid(images, 0), categories=())):
        for recipe in (load_recipe("skip-crowded"), load_recipe("easy"), load_recipe("keep1")):
            assert _removed(dataset, recipe, 1) == set()


@pytest.mark.parametrize("recipe", ["random", "skip-small", "images-x-boxes", "smallest-first"])
def test_another_seed_removes_other_boxes(recipe: str) -> None:
    chosen = {frozenset(_removed(grid(20, 5), load_recipe(recipe), seed)) for seed in range(5)}
    assert len(chosen) == 5
