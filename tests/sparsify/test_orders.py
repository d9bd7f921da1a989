"""Removal orders: the same on every platform, and each one's preference."""

from collections import Counter
from collections.abc import Sequence
from statistics import mean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsedet.annotations import XYXY, Box, Dataset, Image
from sparsedet.seeds import stable_rank
from sparsedet.sparsify import load_recipe, orders, remove_boxes
from sparsedet.sparsify.candidates import Candidates
from sparsedet.sparsify.orders import (
    ORDERS,
    TENDENCIES,
    Order,
    border_distance,
    neighbours,
    propensity,
    relative_area,
    removal_order,
    row_number,
)
from sparsedet.sparsify.rules import DropFraction
from tests.sparsify.datasets import CATEGORIES, grid, scenes

WIDTH, HEIGHT = 200, 100


def _dataset(boxes: Sequence[tuple[int, int, XYXY]]) -> Dataset:
    """Return boxes, given by image, class and place, on images of 200 x 100 pixels."""
    images = tuple(Image(i, f"{i}.jpg", WIDTH, HEIGHT) for i in sorted({box[0] for box in boxes}))
    return Dataset(images, tuple(Box(i, *box) for i, box in enumerate(boxes, start=1)), CATEGORIES)


def _candidates(*boxes: XYXY, seed: int = 1) -> Candidates:
    return Candidates.of(_dataset([(1, 1, box) for box in boxes]), seed)


def _varied(images: int) -> Dataset:
    """Return images of 12 boxes of any size, class and place."""
    rng = np.random.default_rng(1)
    boxes = []
    for image in range(images):
        for _ in range(12):
            side = rng.integers(2, 30)
            x, y = rng.integers(0, (WIDTH - side, HEIGHT - side))
            place = float(x), float(y), float(x + side), float(y + side)
            boxes.append((image, int(rng.integers(1, 4)), place))
    return _dataset(boxes)


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


def test_columns_have_the_ranks_of_single_boxes() -> None:
    boxes = Candidates.of(grid(3, 4), seed=5)
    assert boxes.image_rank.tolist() == [stable_rank(5, f"{i:04}.jpg") for i in range(3)]
    assert boxes.rank.tolist() == [
        stable_rank(5, f"{i:04}.jpg", 1000 * i + j) for i in range(3) for j in range(4)
    ]


PINNED = {
    "easy": [6, 11, 12, 13],
    "extreme": [1, 2, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 17, 18, 19, 20, 22, 23, 24],
    "hard": [2, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 22],
    "images-x-boxes": [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15, 17, 18, 19, 22, 23, 24],
    "keep1": [2, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 22],
    "per-class": [1, 2, 5, 6, 7, 11, 12, 13, 17, 18, 22, 24],
    "per-image": [1, 2, 5, 6, 7, 8, 11, 12, 13, 15, 18, 24],
    "random": [1, 2, 5, 6, 7, 8, 11, 12, 13, 17, 18, 24],
    "skip-border": [1, 2, 5, 8, 9, 11, 12, 13, 17, 18, 20, 24],
    "skip-crowded": [2, 6, 7, 8, 11, 12, 13, 14, 15, 18, 22, 23],
    "skip-repeated": [4, 6, 7, 9, 11, 12, 13, 14, 17, 20, 23, 24],
    "skip-small": [1, 5, 8, 9, 11, 12, 13, 17, 18, 22, 23, 24],
    "smallest-first": [1, 2, 5, 9, 11, 12, 15, 16, 18, 20, 22, 23],
}
"""Ids of the removed boxes, for seed 7."""


@pytest.mark.parametrize("name", sorted(PINNED))
def test_splits_are_the_same_on_every_platform(name: str) -> None:
    _, removed = remove_boxes(_pinned(), load_recipe(name), seed=7)
    assert [box.id for box in removed.boxes] == PINNED[name]


def test_rounding_is_the_same_on_every_platform() -> None:
    _, removed = remove_boxes(_pinned(), load_recipe("per-image").with_drop(0.42), seed=7)
    assert [box.id for box in removed.boxes] == [1, 2, 6, 7, 8, 11, 12, 13, 24]


def _pinned() -> Dataset:
    """Return 24 boxes on 4 images, placed by whole numbers alone."""
    places = [(7 * n % 23, 5 * n % 19, 1 + 3 * n % 11, 2 + 5 * n % 7) for n in range(24)]
    boxes = [
        (1 + n % 4, 1 + n % 3, (5.0 * x, 3.0 * y, 5.0 * x + 6 * width, 3.0 * y + 4 * height))
        for n, (x, y, width, height) in enumerate(places)
    ]
    return _dataset(boxes)


def test_every_box_has_the_same_chance() -> None:
    dataset, recipe = grid(10, 4), load_recipe("random").with_drop(0.25)
    removals = Counter(
        box.id for seed in range(2000) for box in remove_boxes(dataset, recipe, seed)[1].boxes
    )
    # 500 expected with a standard deviation of 19; 5 of them are not reached by chance.
    assert len(removals) == 40
    assert all(abs(count - 500) < 97 for count in removals.values())


@given(scenes(), st.sampled_from(TENDENCIES), st.integers(0, 99))
def test_without_strength_a_tendency_is_the_random_order(
    dataset: Dataset, order: Order, seed: int
) -> None:
    boxes = Candidates.of(dataset, seed)
    assert removal_order(boxes, order, 0).tolist() == removal_order(boxes, "random", 1).tolist()


@given(scenes(), st.sampled_from(TENDENCIES), st.integers(0, 99))
def test_with_infinite_strength_the_property_alone_decides(
    dataset: Dataset, order: Order, seed: int
) -> None:
    boxes = Candidates.of(dataset, seed)
    decided = propensity(boxes, order)[removal_order(boxes, order, float("inf"))]
    assert (np.diff(decided) <= 0).all()


@given(scenes(), st.sampled_from(ORDERS), st.floats(0, 9), st.integers(0, 99))
def test_an_order_has_every_box_once(
    dataset: Dataset, order: Order, strength: float, seed: int
) -> None:
    boxes = Candidates.of(dataset, seed)
    assert sorted(removal_order(boxes, order, strength).tolist()) == list(range(len(boxes)))


@pytest.mark.parametrize("name", ["skip-small", "skip-crowded", "skip-border", "skip-repeated"])
def test_the_chance_to_go_grows_evenly_with_the_property(name: str) -> None:
    """At strength 1 and half of the boxes dropped a box goes with its propensity as probability."""
    dataset, recipe = _varied(400), load_recipe(name)
    boxes = Candidates.of(dataset, 3)
    rule = recipe.rules[0]
    assert isinstance(rule, DropFraction)
    likelihood = propensity(boxes, rule.order)
    removed = recipe.removed(boxes)
    assert removed.mean() == 0.5
    for low in np.arange(0, 1, 0.2):
        inside = (likelihood >= low) & (likelihood < low + 0.2)
        # Fifths of 4,800 boxes: a standard error of 0.015.
        if inside.any():
            assert abs(removed[inside].mean() - likelihood[inside].mean()) < 0.07


@pytest.mark.parametrize("order", TENDENCIES)
def test_more_strength_prefers_more(order: Order) -> None:
    boxes = Candidates.of(_varied(100), 3)
    likelihood = propensity(boxes, order)
    first = [
        likelihood[removal_order(boxes, order, strength)[: len(boxes) // 4]].mean()
        for strength in (0, 0.5, 1, 4, float("inf"))
    ]
    assert first == sorted(first)
    assert abs(first[0] - 0.5) < 0.05
    assert first[-1] > 0.8


def test_large_is_the_opposite_of_small() -> None:
    boxes = _candidates((0, 0, 10, 10), (0, 0, 40, 40), (0, 0, 20, 20))
    assert removal_order(boxes, "small", float("inf")).tolist() == [0, 2, 1]
    assert removal_order(boxes, "large", float("inf")).tolist() == [1, 2, 0]


def test_size_is_a_share_of_the_image() -> None:
    images = (Image(1, "1.jpg", 100, 100), Image(2, "2.jpg", 1000, 1000))
    boxes = (Box(1, 1, 1, (0, 0, 10, 10)), Box(2, 2, 1, (0, 0, 20, 20)))
    found = relative_area(Candidates.of(Dataset(images, boxes, CATEGORIES), 1))
    assert found.tolist() == [0.01, 0.0004]


def test_distance_to_the_border_is_that_of_the_nearest_side() -> None:
    boxes = _candidates(
        (0, 40, 10, 60), (20, 40, 120, 60), (80, 10, 90, 50), (150, 30, 190, 60), (90, 45, 110, 55)
    )
    assert border_distance(boxes) == pytest.approx([0, 0.1, 0.1, 0.05, 0.45])


def test_neighbours_are_close_for_the_size_of_either() -> None:
    dataset = _dataset(
        [
            (1, 1, (0, 0, 10, 10)),
            (1, 2, (15, 0, 25, 10)),  # touched by the first one, enlarged to -5 .. 15
            (1, 1, (31, 0, 41, 10)),  # 6 from the second, which reaches 5
            (1, 1, (56, 0, 96, 10)),  # 15 from the third, which it reaches with its 20
            (2, 1, (0, 0, 10, 10)),  # another image
        ]
    )
    assert neighbours(Candidates.of(dataset, 1)).tolist() == [1, 1, 1, 1, 0]


@given(scenes(), st.integers(1, 40))
def test_neighbours_are_the_same_however_pairs_are_cut(dataset: Dataset, pairs: int) -> None:
    boxes = Candidates.of(dataset, 1)
    whole = neighbours(boxes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orders, "_PAIRS", pairs)
        assert neighbours(boxes).tolist() == whole.tolist()


def test_equals_are_numbered_from_left_to_right() -> None:
    dataset = _dataset(
        [
            (1, 1, (50, 0, 60, 10)),
            (1, 1, (0, 50, 10, 60)),
            (1, 2, (20, 0, 30, 10)),
            (1, 1, (30, 20, 40, 30)),
            (2, 1, (70, 0, 80, 10)),
        ]
    )
    assert row_number(Candidates.of(dataset, 1)).tolist() == [2, 0, 0, 1, 0]


def test_the_smallest_of_each_image_goes_in_turn() -> None:
    dataset = _dataset(
        [(image, 1, (0, 0, side, side)) for image in (1, 2) for side in (30, 10, 20)]
        + [(3, 1, (0, 0, 5, 5))]
    )
    boxes = Candidates.of(dataset, 4)
    sides = boxes.xyxy[:, 2][removal_order(boxes, "smallest-of-each-image", 1)]
    assert sides[:3].tolist() in ([10, 10, 5], [10, 5, 10], [5, 10, 10])
    assert sides[3:].tolist() == [20, 20, 30, 30]
    visited = boxes.image[removal_order(boxes, "smallest-of-each-image", 1)]
    assert visited[3:5].tolist() == visited[5:].tolist()


def test_images_are_visited_in_another_order_by_every_seed() -> None:
    dataset = _dataset([(image, 1, (0, 0, 9, 9)) for image in range(3)])
    first = Counter(
        int(removal_order(Candidates.of(dataset, seed), "smallest-of-each-image", 1)[0])
        for seed in range(300)
    )
    assert min(first[image] for image in range(3)) > 70


def test_propensity_is_a_share_of_the_boxes() -> None:
    boxes = _candidates((0, 0, 10, 10), (0, 0, 20, 20), (0, 0, 20, 20), (0, 0, 40, 40))
    assert propensity(boxes, "small").tolist() == [0.875, 0.5, 0.5, 0.125]
    with pytest.raises(ValueError, match="random is not a tendency"):
        propensity(boxes, "random")


def test_reordered_boxes_are_independent_of_the_order_before() -> None:
    boxes = Candidates.of(grid(100, 10), seed=1)
    ranks = [boxes.reordered(number).rank.astype(float) for number in range(3)]
    assert ranks[0].tolist() == boxes.rank.astype(float).tolist()
    for one, other in ((0, 1), (0, 2), (1, 2)):
        # Of 1,000 pairs: a standard deviation of 0.032.
        assert abs(np.corrcoef(ranks[one], ranks[other])[0, 1]) < 0.13
    assert mean(ranks[1]) == pytest.approx(2**63, rel=0.1)
