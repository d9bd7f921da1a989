"""Dividing images into training and validation, and the parts of a split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsedet.annotations import Dataset
from sparsedet.errors import SparseDetError
from sparsedet.sparsify import divide, load_recipe, make_split
from tests.sparsify.datasets import datasets, grid


@given(
    datasets().filter(lambda dataset: len(dataset.images) > 1),
    st.floats(0, 1, exclude_min=True, exclude_max=True),
    st.integers(0, 99),
)
def test_images_are_partitioned_with_their_boxes(dataset: Dataset, val: float, seed: int) -> None:
    train, held_out = divide(dataset, val, seed)
    ids = {image.id for image in held_out.images}
    assert 1 <= len(ids) < len(dataset.images)
    assert abs(len(ids) - val * len(dataset.images)) <= 1
    assert held_out.images == tuple(image for image in dataset.images if image.id in ids)
    assert train.images == tuple(image for image in dataset.images if image.id not in ids)
    assert held_out.boxes == tuple(box for box in dataset.boxes if box.image_id in ids)
    assert train.boxes == tuple(box for box in dataset.boxes if box.image_id not in ids)


@pytest.mark.parametrize(("val", "expected"), [(0.2, 2), (0.5, 5), (0.001, 1), (0.999, 9)])
def test_number_of_images_held_out(val: float, expected: int) -> None:
    _, held_out = divide(grid(10, 1), val, seed=1)
    assert len(held_out.images) == expected


def test_choice_depends_on_seed_but_not_on_order() -> None:
    dataset = grid(30, 1)
    backwards = dataset.with_images(reversed(dataset.images))
    first, again, other = (
        {image.id for image in divide(source, 0.3, seed)[1].images}
        for source, seed in ((dataset, 1), (backwards, 1), (dataset, 2))
    )
    assert first == again != other


@pytest.mark.parametrize("val", [0, 1, -0.1, 1.5, float("nan")])
def test_share_out_of_range_is_refused(val: float) -> None:
    with pytest.raises(SparseDetError, match="expected a share of the images between 0 and 1"):
        divide(grid(4, 1), val, seed=1)


@pytest.mark.parametrize("images", [0, 1])
def test_too_few_images_are_refused(images: int) -> None:
    with pytest.raises(SparseDetError, match="can't be divided"):
        divide(grid(images, 1), 0.5, seed=1)


def test_validation_images_keep_all_their_boxes() -> None:
    split = make_split(grid(10, 6), load_recipe("random").with_drop(0.5), val=0.2, seed=3)
    assert split.val is not None
    assert split.removed is not None
    assert len(split.val.boxes) == 12
    assert all(image.exhaustive for image in split.val.images)
    assert len(split.train.boxes) == len(split.removed.boxes) == 24


def test_parts_and_counts_follow_what_was_asked_for() -> None:
    recipe = load_recipe("extreme")
    assert set(make_split(grid(4, 3), recipe, None, 1).parts()) == {"train", "removed"}
    assert set(make_split(grid(4, 3), None, 0.5, 1).parts()) == {"train", "val"}
    counts = make_split(grid(4, 3), recipe, 0.5, 1).counts()
    assert list(counts) == ["class 1", "class 2", "class 3"]
    assert sum(row["train"] for row in counts.values()) == 2
    assert sum(row["removed"] for row in counts.values()) == 4
    assert [row["val"] for row in counts.values()] == [2, 2, 2]
