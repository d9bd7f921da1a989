"""The parts of a split: what is in them, and how they are counted."""

from sparsedet.sparsify import Validation, load_recipe, make_split
from tests.sparsify.datasets import grid


def test_validation_images_keep_all_their_boxes() -> None:
    recipe = load_recipe("random").with_drop(0.5)
    split = make_split(grid(10, 6), recipe, Validation(0.2), seed=3)
    assert split.val is not None
    assert split.removed is not None
    assert len(split.val.boxes) == 12
    assert all(image.exhaustive for image in split.val.images)
    assert len(split.train.boxes) == len(split.removed.boxes) == 24


def test_parts_and_counts_follow_what_was_asked_for() -> None:
    recipe = load_recipe("extreme")
    half = Validation(0.5)
    assert set(make_split(grid(4, 3), recipe, None, 1).parts()) == {"train", "removed"}
    assert set(make_split(grid(4, 3), None, half, 1).parts()) == {"train", "val"}
    counts = make_split(grid(4, 3), recipe, half, 1).counts()
    assert list(counts) == ["class 1", "class 2", "class 3"]
    assert sum(row["train"] for row in counts.values()) == 2
    assert sum(row["removed"] for row in counts.values()) == 4
    assert [row["val"] for row in counts.values()] == [2, 2, 2]
