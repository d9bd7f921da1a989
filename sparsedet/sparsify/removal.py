"""Removing boxes from a dataset by a recipe."""

from dataclasses import replace

import numpy as np

from sparsedet.annotations import Dataset
from sparsedet.annotations.dataset import Image
from sparsedet.annotations.table import BoxTable
from sparsedet.sparsify.candidates import Candidates
from sparsedet.sparsify.recipe import Recipe


def remove_boxes(dataset: Dataset, recipe: Recipe, seed: int) -> tuple[Dataset, Dataset]:
    """Apply a recipe; return the sparse dataset and the removed boxes on the same images.

    The two partition the boxes, in file order. Crowd regions and verified negatives always stay,
    as does every image. The result depends on the seed, the file names and the box ids alone, not
    on the order of images and boxes.

    An image that lost a box is no longer `exhaustive`.

    Raises:
        RecipeError: when the recipe's rules can't be met.
    """
    table = dataset.table
    gone = np.zeros(len(table), dtype=np.bool_)
    gone[~table.iscrowd] = recipe.removed(Candidates.of(dataset, seed))
    removed = table.select(gone)
    return (
        replace(dataset, images=_incomplete(dataset.images, removed), boxes=table.select(~gone)),
        replace(
            dataset,
            images=tuple(_not_exhaustive(image) for image in dataset.images),
            boxes=removed,
            verified_negatives=(),
        ),
    )


def _incomplete(images: tuple[Image, ...], removed: BoxTable) -> tuple[Image, ...]:
    """Return the images, those that lost a box no longer exhaustive."""
    lost = set(np.unique(removed.image_ids).tolist())
    return tuple(_not_exhaustive(image) if image.id in lost else image for image in images)


def _not_exhaustive(image: Image) -> Image:
    return replace(image, exhaustive=False) if image.exhaustive else image
