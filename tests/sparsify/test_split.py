"""The parts of a split and its record: counts, validation figures and warnings."""

from dataclasses import replace
from typing import Any

from sparsedet.annotations import Dataset
from sparsedet.sparsify import (
    GroupBy,
    NearDuplicates,
    Validation,
    load_recipe,
    make_split,
    split_train_val,
)
from sparsedet.sparsify.split import describe_validation
from tests.sparsify.datasets import grid


def record(full: Dataset, validation: Validation) -> dict[str, Any]:
    return describe_validation(full, split_train_val(full, validation, seed=1)[1], validation)


def in_folders(dataset: Dataset, sizes: list[int]) -> Dataset:
    folders = [folder for folder, size in enumerate(sizes) for _ in range(size)]
    return replace(
        dataset,
        images=tuple(
            replace(image, file_name=f"{folder}/{image.file_name}", exhaustive=folder == 1)
            for image, folder in zip(dataset.images, folders, strict=True)
        ),
    )


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


def test_groups_and_near_duplicates_are_counted() -> None:
    full = in_folders(grid(20, 3), [5, 4, 4, 4, 3])
    near = NearDuplicates((("0/0003.jpg", "1/0005.jpg"), ("2/0010.jpg", "2/0011.jpg")), 16)
    found = record(full, Validation(0.2, GroupBy("folder"), near))
    assert found == {
        "asked": 0.2,
        "reached": 0.2,
        "exhaustive": 0,
        "groups": {"by": "folder", "total": 5, "validation": 1},
        "near_duplicates": {
            "hash": "phash 12 x 12",
            "distance": 16,
            "sets": 2,
            "images": 4,
            "listed": [["0/0003.jpg", "1/0005.jpg"], ["2/0010.jpg", "2/0011.jpg"]],
        },
        "together": {"sets": 4, "validation": 1, "largest": 9},
        "unmeasured": [],
        "warnings": [],
    }


def test_without_either_there_is_nothing_to_tell() -> None:
    found = record(grid(20, 3), Validation(0.2))
    assert (found["groups"], found["near_duplicates"], found["warnings"]) == (None, None, [])
    assert found["exhaustive"] == 4
    # One of three is as near to a tenth as images come.
    assert record(grid(3, 3), Validation(0.1))["warnings"] == []


def test_long_lists_are_cut() -> None:
    full = grid(120, 1)
    sets = tuple((f"{i:04}.jpg", f"{i + 1:04}.jpg") for i in range(0, 120, 2))
    found = record(full, Validation(0.5, near_duplicates=NearDuplicates(sets, 16)))
    assert (found["near_duplicates"]["sets"], len(found["near_duplicates"]["listed"])) == (60, 50)


def test_classes_without_boxes_in_validation_are_named() -> None:
    full = grid(10, 2)
    lone = replace(full, boxes=(*full.boxes, replace(full.boxes[0], id=9999, category_id=3)))
    assert record(lone, Validation(0.2))["unmeasured"] == ["class 3"]


def test_a_share_that_groups_do_not_allow_is_warned_of() -> None:
    found = record(in_folders(grid(20, 1), [12, 8]), Validation(0.1, GroupBy("folder")))
    assert found["reached"] == 0.4
    assert found["warnings"] == [
        "validation has 8 of 20 images instead of the requested share 0.1: they form 2 sets "
        "that stay together, the largest of 12 images (with 0/0000.jpg)"
    ]


def test_a_chain_of_near_duplicates_is_warned_of() -> None:
    names = tuple(f"{i:04}.jpg" for i in range(12))
    for images, warned in ((40, True), (130, False)):
        near = NearDuplicates((names,), 16)
        (*warnings,) = record(grid(images, 1), Validation(0.3, near_duplicates=near))["warnings"]
        assert bool(warnings) is warned
    near = NearDuplicates((names,), 16)
    (warning,) = record(grid(40, 1), Validation(0.3, near_duplicates=near))["warnings"]
    assert warning.startswith("12 of 40 images form one set of near duplicates (with 0000.jpg)")
