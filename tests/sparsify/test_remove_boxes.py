"""What must hold whenever a recipe removes boxes, whatever the recipe and the dataset."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsedet.annotations import Box, Dataset
from sparsedet.sparsify import Recipe, load_recipe, recipe_names, remove_boxes
from sparsedet.sparsify.ranking import stable_rank
from sparsedet.sparsify.recipe import parse_recipe
from tests.sparsify.datasets import datasets, grid

SEEDS = st.integers(0, 2**32)
RECIPES = st.sampled_from(recipe_names()).map(load_recipe)
RECIPES_WITH_DROP = st.sampled_from(["random", "hard"]).map(load_recipe)
SHARES = st.floats(0, 1)


def _ids(dataset: Dataset) -> set[int]:
    return {box.id for box in dataset.boxes}


def _per_image_and_class(boxes: tuple[Box, ...]) -> Counter[tuple[int, int]]:
    return Counter((box.image_id, box.category_id) for box in boxes if not box.iscrowd)


@given(datasets(), RECIPES, SEEDS)
def test_kept_and_removed_partition_the_boxes_in_order(
    dataset: Dataset, recipe: Recipe, seed: int
) -> None:
    kept, removed = remove_boxes(dataset, recipe, seed)
    assert not _ids(kept) & _ids(removed)
    for part in (kept, removed):
        assert part.boxes == tuple(box for box in dataset.boxes if box.id in _ids(part))
    assert len(kept.boxes) + len(removed.boxes) == len(dataset.boxes)


@given(datasets(), RECIPES, SEEDS)
def test_images_categories_and_unknown_keys_stay(
    dataset: Dataset, recipe: Recipe, seed: int
) -> None:
    for part in remove_boxes(dataset, recipe, seed):
        assert [image.id for image in part.images] == [image.id for image in dataset.images]
        assert [image.extra for image in part.images] == [image.extra for image in dataset.images]
        assert part.categories == dataset.categories
        assert part.extra == dataset.extra


@given(datasets(), RECIPES, SEEDS)
def test_crowd_regions_are_never_dropped(dataset: Dataset, recipe: Recipe, seed: int) -> None:
    _, removed = remove_boxes(dataset, recipe, seed)
    assert not any(box.iscrowd for box in removed.boxes)


@given(datasets(), RECIPES, SEEDS)
def test_crowd_regions_are_never_counted(dataset: Dataset, recipe: Recipe, seed: int) -> None:
    without = dataset.with_boxes(box for box in dataset.boxes if not box.iscrowd)
    assert _ids(remove_boxes(dataset, recipe, seed)[1]) == _ids(
        remove_boxes(without, recipe, seed)[1]
    )


@given(datasets(), RECIPES, SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_the_file_does_not_matter(
    dataset: Dataset, recipe: Recipe, seed: int, shuffler: random.Random
) -> None:
    images, boxes = list(dataset.images), list(dataset.boxes)
    shuffler.shuffle(images)
    shuffler.shuffle(boxes)
    shuffled = replace(dataset, images=tuple(images), boxes=tuple(boxes))
    assert _ids(remove_boxes(dataset, recipe, seed)[1]) == _ids(
        remove_boxes(shuffled, recipe, seed)[1]
    )


@given(datasets(), RECIPES_WITH_DROP, SEEDS, SHARES, SHARES)
def test_a_higher_drop_removes_a_superset(
    dataset: Dataset, recipe: Recipe, seed: int, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    _, fewer = remove_boxes(dataset, recipe.with_drop(low), seed)
    _, more = remove_boxes(dataset, recipe.with_drop(high), seed)
    assert _ids(fewer) <= _ids(more)


@given(datasets(), SEEDS, SHARES)
def test_random_drops_exactly_its_share(dataset: Dataset, seed: int, drop: float) -> None:
    _, removed = remove_boxes(dataset, load_recipe("random").with_drop(drop), seed)
    countable = sum(not box.iscrowd for box in dataset.boxes)
    assert len(removed.boxes) == round(drop * countable)


@given(datasets(), st.sampled_from(["easy", "hard", "keep1"]), SEEDS)
def test_every_class_of_an_image_keeps_a_box(dataset: Dataset, name: str, seed: int) -> None:
    kept, _ = remove_boxes(dataset, load_recipe(name), seed)
    assert set(_per_image_and_class(kept.boxes)) == set(_per_image_and_class(dataset.boxes))


@given(datasets(), SEEDS)
def test_easy_drops_one_box_where_a_class_has_two(dataset: Dataset, seed: int) -> None:
    _, removed = remove_boxes(dataset, load_recipe("easy"), seed)
    repeated = {image for (image, _), n in _per_image_and_class(dataset.boxes).items() if n > 1}
    assert Counter(box.image_id for box in removed.boxes) == Counter(repeated)


@given(datasets(), SEEDS)
def test_hard_drops_half_of_an_image_as_far_as_classes_allow(dataset: Dataset, seed: int) -> None:
    _, removed = remove_boxes(dataset, load_recipe("hard"), seed)
    before = _per_image_and_class(dataset.boxes)
    dropped = Counter(box.image_id for box in removed.boxes)
    for image in dataset.images:
        counts = [n for (owner, _), n in before.items() if owner == image.id]
        assert dropped[image.id] == min(round(sum(counts) / 2), sum(n - 1 for n in counts))


@given(datasets(), SEEDS)
def test_extreme_keeps_one_box_per_image(dataset: Dataset, seed: int) -> None:
    kept, _ = remove_boxes(dataset, load_recipe("extreme"), seed)
    countable = Counter(box.image_id for box in kept.boxes if not box.iscrowd)
    assert countable == Counter({image for image, _ in _per_image_and_class(dataset.boxes)})


@given(datasets(), SEEDS)
def test_keep1_keeps_one_box_per_class_and_image(dataset: Dataset, seed: int) -> None:
    kept, _ = remove_boxes(dataset, load_recipe("keep1"), seed)
    assert set(_per_image_and_class(kept.boxes).values()) <= {1}


@given(datasets(), RECIPES, SEEDS)
def test_an_image_that_lost_a_box_is_no_longer_exhaustive(
    dataset: Dataset, recipe: Recipe, seed: int
) -> None:
    kept, removed = remove_boxes(dataset, recipe, seed)
    incomplete = {box.image_id for box in removed.boxes}
    for before, after in zip(dataset.images, kept.images, strict=True):
        assert after.exhaustive == (before.exhaustive and before.id not in incomplete)
    assert not any(image.exhaustive for image in removed.images)


def test_verified_background_stays_with_the_kept_boxes() -> None:
    rejected = Box(1, 0, 1, (5, 5, 9, 9))
    dataset = replace(grid(2, 4), background=(rejected,))
    kept, removed = remove_boxes(dataset, load_recipe("random"), seed=1)
    assert kept.background == (rejected,)
    assert removed.background == ()


def test_another_seed_removes_other_boxes() -> None:
    dataset, recipe = grid(20, 5), load_recipe("random")
    chosen = {frozenset(_ids(remove_boxes(dataset, recipe, seed)[1])) for seed in range(5)}
    assert len(chosen) == 5


def test_every_box_has_the_same_chance() -> None:
    dataset, recipe = grid(10, 4), load_recipe("random").with_drop(0.25)
    removals = Counter(
        box.id for seed in range(2000) for box in remove_boxes(dataset, recipe, seed)[1].boxes
    )
    # 500 expected with a standard deviation of 19; 5 of them are not reached by chance.
    assert len(removals) == 40
    assert all(abs(count - 500) < 97 for count in removals.values())


@pytest.mark.parametrize(
    ("identity", "rank"),
    [
        ((1, "a.jpg"), 1615961904438598682),
        ((1, "a.jpg", 7), 17372854606103909641),
        ((2, "a.jpg", 7), 8761235414546538822),
        ((1, "tag/ä.jpg", 7), 2788625753550649337),
    ],
)
def test_ranks_are_the_same_on_every_platform(identity: tuple[int | str, ...], rank: int) -> None:
    seed, *rest = identity
    assert isinstance(seed, int)
    assert stable_rank(seed, *rest) == rank


def test_ranks_tell_identities_apart() -> None:
    assert stable_rank(1, "a", 12) != stable_rank(1, "a1", 2) != stable_rank(11, "a", 2)


@pytest.mark.parametrize(("keep", "left"), [(0, 0), (2, 2), (4, 4), (6, 4)])
def test_images_with_fewer_boxes_than_are_kept_lose_none(keep: int, left: int) -> None:
    text = (
        f"{{description: d, source: s, rule: keep-count-per-image, parameters: {{keep: {keep}}}}}"
    )
    kept, _ = remove_boxes(grid(3, 4), parse_recipe("few", text, where="few"), seed=1)
    assert [len(boxes) for boxes in kept.boxes_by_image.values()] == [left] * 3
