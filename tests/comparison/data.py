"""Datasets shared by the tests of comparison."""

from functools import cache

from benchmarks.coco_sized import make_coco
from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.annotations.coco import from_coco
from sparsedet.comparison import Boxes
from sparsedet.sparsify import load_recipe, remove_boxes

CATEGORIES = (Category(1, "cat"), Category(2, "dog"))


@cache
def coco_like(images: int) -> Dataset:
    """Return images with the statistics of COCO, 7 boxes on each on average."""
    return from_coco(make_coco(images, int(images * 7.27), seed=1), source="generated")


def boxes_of(dataset: Dataset) -> Boxes:
    """Return a dataset's boxes in columns."""
    return Boxes.of(dataset)


def sparse(dataset: Dataset, recipe: str, seed: int = 1) -> Dataset:
    """Return what a recipe leaves of a dataset."""
    return remove_boxes(dataset, load_recipe(recipe), seed)[0]


def small(boxes: int = 4, images: int = 2) -> Dataset:
    """Return images of 100 x 100 with boxes of 10 x 20 side by side, cats and dogs in turn."""
    return Dataset(
        tuple(Image(i, f"{i}.jpg", 100, 100) for i in range(1, images + 1)),
        tuple(
            Box(10 * i + j, i, 1 + j % 2, (12.0 * j, 5, 12.0 * j + 10, 25))
            for i in range(1, images + 1)
            for j in range(boxes)
        ),
        CATEGORIES,
    )
