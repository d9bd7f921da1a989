"""Training and validation images: related ones stay together, and the share holds."""

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsedet.annotations import Box, Dataset, Image
from sparsedet.errors import SparseDetError
from sparsedet.sparsify import GroupBy, NearDuplicates, Validation, hold_out, split_train_val
from sparsedet.sparsify.train_val_split import split_units
from tests.sparsify.datasets import CATEGORIES, datasets, grid

FOLDER = GroupBy("folder")
SHARES = st.floats(0, 1, exclude_min=True, exclude_max=True)


@st.composite
def related(draw: st.DrawFn) -> tuple[Dataset, Validation]:
    """Draw 2 to 12 images in folders, some of them near duplicates, and how to split them."""
    number = draw(st.integers(2, 12))
    folders = draw(st.lists(st.sampled_from("abcd"), min_size=number, max_size=number))
    images = tuple(
        Image(i, f"{folder}/{i}.jpg", 20, 20, exhaustive=draw(st.booleans()))
        for i, folder in enumerate(folders)
    )
    owners = draw(st.lists(st.integers(0, number - 1), max_size=40))
    boxes = tuple(
        Box(i, owner, draw(st.sampled_from(CATEGORIES)).id, (0, 0, 5, 5))
        for i, owner in enumerate(owners)
    )
    names = draw(st.permutations([image.file_name for image in images]))
    cuts = sorted(draw(st.sets(st.integers(0, number), max_size=4)))
    runs = [names[start:end] for start, end in pairwise(cuts)]
    sets = tuple(sorted(tuple(sorted(run)) for run in runs if len(run) > 1))
    validation = Validation(
        draw(SHARES),
        draw(st.sampled_from([None, FOLDER])),
        draw(st.sampled_from([None, NearDuplicates(sets, 16)])),
    )
    return Dataset(images, boxes, CATEGORIES), validation


def names(dataset: Dataset) -> set[str]:
    return {image.file_name for image in dataset.images}


@given(datasets().filter(lambda dataset: len(dataset.images) > 1), SHARES, st.integers(0, 99))
def test_images_are_partitioned_with_their_boxes(dataset: Dataset, val: float, seed: int) -> None:
    train, held_out = split_train_val(dataset, Validation(val), seed)
    ids = {image.id for image in held_out.images}
    total = len(dataset.images)
    assert len(ids) == min(max(round(val * total), 1), total - 1)
    assert held_out.images == tuple(image for image in dataset.images if image.id in ids)
    assert train.images == tuple(image for image in dataset.images if image.id not in ids)
    assert list(held_out.boxes) == [box for box in dataset.boxes if box.image_id in ids]
    assert list(train.boxes) == [box for box in dataset.boxes if box.image_id not in ids]


@given(related(), st.integers(0, 99))
def test_what_belongs_together_stays_together(drawn: tuple[Dataset, Validation], seed: int) -> None:
    dataset, validation = drawn
    units = split_units(dataset.images, validation)
    if len(units) == 1:
        with pytest.raises(SparseDetError, match="all of them belong together"):
            split_train_val(dataset, validation, seed)
        return
    train, val = map(names, split_train_val(dataset, validation, seed))
    assert train
    assert val
    assert train | val == names(dataset)
    assert not train & val
    if validation.group_by:
        assert not {name[0] for name in train} & {name[0] for name in val}
    if validation.near_duplicates:
        for found in validation.near_duplicates.sets:
            assert set(found) <= train or set(found) <= val
    # A set in the way can only cost its own size.
    assert abs(len(val) - validation.share * len(dataset.images)) <= max(map(len, units))


@given(related(), st.integers(0, 99), st.randoms(use_true_random=False))
def test_order_has_no_influence(
    drawn: tuple[Dataset, Validation], seed: int, random: Random
) -> None:
    dataset, validation = drawn
    if len(split_units(dataset.images, validation)) == 1:
        return
    images, boxes = list(dataset.images), list(dataset.boxes)
    random.shuffle(images)
    random.shuffle(boxes)
    shuffled = replace(dataset, images=tuple(images), boxes=tuple(boxes))
    assert names(split_train_val(shuffled, validation, seed)[1]) == names(
        split_train_val(dataset, validation, seed)[1]
    )


def test_near_duplicates_join_groups() -> None:
    images = [Image(i, name, 9, 9) for i, name in enumerate(["a/1", "a/2", "b/1", "b/2", "c/1"])]
    near = NearDuplicates((("a/2", "b/1"),), 16)
    assert split_units(images, Validation(0.5, FOLDER, near)) == [
        ["a/1", "a/2", "b/1", "b/2"],
        ["c/1"],
    ]


def test_choice_depends_on_seed() -> None:
    first, again, other = (
        names(split_train_val(grid(30, 1), Validation(0.3), seed)[1]) for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize("val", [0, 1, -0.1, 1.5, float("nan")])
def test_share_out_of_range_is_refused(val: float) -> None:
    with pytest.raises(SparseDetError, match="expected a share of the images between 0 and 1"):
        Validation(val)


@pytest.mark.parametrize("images", [0, 1])
def test_too_few_images_are_refused(images: int) -> None:
    with pytest.raises(SparseDetError, match="can't be divided"):
        split_train_val(grid(images, 1), Validation(0.5), seed=1)


def test_one_group_of_all_images_is_refused() -> None:
    with pytest.raises(SparseDetError, match="all of them belong together by folder"):
        split_train_val(grid(5, 1), Validation(0.5, FOLDER), seed=1)


def test_hold_out_chooses_the_same_images_for_good() -> None:
    # Rounds rely on these very images: figures of two rounds are compared.
    assert names(hold_out(grid(20, 1), 0.2, 1)[1]) == {"0002.jpg", "0005.jpg", "0006.jpg"}
    smaller = names(hold_out(grid(12, 1), 0.2, 1)[1])
    assert smaller == {"0002.jpg", "0005.jpg", "0006.jpg"}


def test_hold_out_keeps_groups_on_their_side_while_the_project_grows() -> None:
    grown = replace(
        grid(40, 1),
        images=tuple(
            replace(image, file_name=f"{i % 9}/{i}.jpg")
            for i, image in enumerate(grid(40, 1).images)
        ),
    )
    sides: dict[str, set[str]] = {}
    for size in (20, 30, 40):
        parts = hold_out(grown.with_images(grown.images[:size]), 0.3, 2, FOLDER)
        for side, part in zip(("train", "val"), parts, strict=True):
            for name in names(part):
                sides.setdefault(name.split("/")[0], set()).add(side)
    assert len(sides) == 9
    assert all(len(found) == 1 for found in sides.values())


def test_hold_out_refuses_an_empty_side() -> None:
    with pytest.raises(SparseDetError, match=r"5 images in 1 group empty"):
        hold_out(grid(5, 1), 0.5, 1, FOLDER)
    with pytest.raises(SparseDetError, match=r"5 images empty"):
        hold_out(grid(5, 1), 0.0001, 1)
