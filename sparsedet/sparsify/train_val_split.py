"""Split images into training and validation so that metrics are meaningful.

Related images stay on one side (groups, near duplicates), every class has its share of boxes on
both sides, and exhaustively labelled images go to validation first: metrics say little where
labels are missing, while training copes with that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparsedet.annotations import Dataset, Image
from sparsedet.errors import SparseDetError
from sparsedet.seeds import stable_rank
from sparsedet.sparsify.grouping import GroupBy, representatives, sets_of
from sparsedet.sparsify.near_duplicates import NearDuplicates
from sparsedet.sparsify.stratification import Units, choose_validation
from sparsedet.wording import counted


@dataclass(frozen=True, slots=True)
class Validation:
    """How validation images are held out."""

    share: float
    """Share of the images, between 0 and 1."""
    group_by: GroupBy | None = None
    """Images of a group stay on one side."""
    near_duplicates: NearDuplicates | None = None
    """Near duplicates stay on one side; None: not searched for."""

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise SparseDetError(
                f"--val is {self.share}, expected a share of the images between 0 and 1"
            )


def split_train_val(dataset: Dataset, validation: Validation, seed: int) -> tuple[Dataset, Dataset]:
    """Return the training and the validation images with their boxes, both in file order.

    Without groups and near duplicates, the number of validation images is the rounded share, with
    at least one image on each side; otherwise it is as close to that as whole units allow. See
    `stratification.choose_validation` for how they are chosen.

    Args:
        dataset: The images to split, with their boxes.
        validation: What is held out.
        seed: Seed of the choice, which doesn't depend on the order of images and boxes.

    Raises:
        SparseDetError: when an image has no group, or there are fewer than two images or units.
    """
    if len(dataset.images) < 2:
        raise SparseDetError(
            f"{counted(len(dataset.images), 'image')} can't be divided into training and "
            "validation; at least 2 are needed"
        )
    units = split_units(dataset.images, validation)
    if len(units) < 2:
        raise SparseDetError(
            f"{len(dataset.images)} images can't be divided into training and validation: all of "
            f"them belong together by {_reasons(validation)}"
        )
    units.sort(key=lambda unit: (stable_rank(seed, unit[0]), unit[0]))
    chosen = choose_validation(_count_units(dataset, units), validation.share)
    held_out = {
        name for unit, is_chosen in zip(units, chosen, strict=True) if is_chosen for name in unit
    }
    return (
        dataset.with_images(image for image in dataset.images if image.file_name not in held_out),
        dataset.with_images(image for image in dataset.images if image.file_name in held_out),
    )


def split_units(images: Sequence[Image], validation: Validation) -> list[list[str]]:
    """Return the units of a split, sets of images that stay on one side, as sorted file names.

    Near duplicates join the groups that they belong to.

    Raises:
        SparseDetError: when an image has no group.
    """
    names = [image.file_name for image in images]
    together: list[Sequence[str]] = []
    if validation.group_by:
        groups = validation.group_by.names(images)
        together += sets_of({image.file_name: groups[image.id] for image in images})
    if validation.near_duplicates:
        together += validation.near_duplicates.sets
    return sets_of(representatives(names, together)) if together else [[name] for name in names]


def hold_out(
    dataset: Dataset, share: float, seed: int, group_by: GroupBy | None = None
) -> tuple[Dataset, Dataset]:
    """Return training and validation images, assigning each image or group by its hash.

    Unlike with `split_train_val`, the share only holds on average, but an image keeps its side
    whatever images are added or removed, as needed by rounds on a growing project.

    Raises:
        SparseDetError: when one side is empty, or an image has no group.
    """
    groups = group_by.names(dataset.images) if group_by else {}
    held_out = {
        image.id
        for image in dataset.images
        if stable_rank(seed, groups.get(image.id, image.file_name)) < share * 2**64
    }
    if not 0 < len(held_out) < len(dataset.images):
        images = counted(len(dataset.images), "image")
        among = f" in {counted(len(set(groups.values())), 'group')}" if groups else ""
        raise SparseDetError(
            f"a validation share of {share} leaves one side of {images}{among} empty; choose "
            "another share, or evaluate on a separate file"
        )
    return (
        dataset.with_images(image for image in dataset.images if image.id not in held_out),
        dataset.with_images(image for image in dataset.images if image.id in held_out),
    )


def _count_units(dataset: Dataset, sets: Sequence[Sequence[str]]) -> Units:
    """Count the images and boxes of each unit, crowd regions excluded."""
    place = {name: index for index, names in enumerate(sets) for name in names}
    unit_of = np.array([place[image.file_name] for image in dataset.images])
    exhaustive = np.array([image.exhaustive for image in dataset.images])
    ids = np.array([image.id for image in dataset.images])
    order = np.argsort(ids)
    table = dataset.table
    counted = ~table.iscrowd
    image_of = order[np.searchsorted(ids[order], table.image_ids[counted])]
    categories, columns = np.unique(table.category_ids[counted], return_inverse=True)
    empty = np.ones(len(ids), dtype=np.bool_)
    empty[image_of] = False
    width = len(categories) + 1
    cells, counts = np.unique(
        np.append(unit_of[image_of] * width + columns, unit_of[empty] * width + width - 1),
        return_counts=True,
    )
    return Units(
        images=np.bincount(unit_of),
        exhaustive=np.bincount(unit_of, exhaustive).astype(np.int64),
        units=cells // width,
        columns=cells % width,
        counts=counts,
    )


def _reasons(validation: Validation) -> str:
    reasons = (validation.group_by, validation.near_duplicates and "near duplicates")
    return " and ".join(str(reason) for reason in reasons if reason)
