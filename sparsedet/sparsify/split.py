"""Sparse splits: boxes removed by a recipe, images divided into training and validation."""

from dataclasses import dataclass

from sparsedet.annotations import Dataset
from sparsedet.sparsify.recipe import Recipe
from sparsedet.sparsify.removal import remove_boxes
from sparsedet.sparsify.train_val_split import Validation, divide


@dataclass(frozen=True, slots=True)
class Split:
    """What became of a fully annotated dataset."""

    train: Dataset
    """For training; without the boxes that the recipe removed."""
    removed: Dataset | None
    """The removed boxes, on all training images; None without a recipe."""
    val: Dataset | None
    """For validation, with all its boxes; None when nothing was held out."""

    def parts(self) -> dict[str, Dataset]:
        """Return the parts that exist, by the names of their files without suffix."""
        parts = {"train": self.train, "removed": self.removed, "val": self.val}
        return {name: part for name, part in parts.items() if part is not None}

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the boxes of every category name in every part, without crowd regions."""
        counted = {name: part.counts() for name, part in self.parts().items()}
        return {
            category.name: {name: counts[category.name] for name, counts in counted.items()}
            for category in self.train.categories
        }


def make_split(dataset: Dataset, recipe: Recipe | None, val: Validation | None, seed: int) -> Split:
    """Hold out images as `val` says, then remove boxes from the others by `recipe`.

    Validation images keep all their boxes: a figure measured on missing labels says little.
    """
    train, held_out = (dataset, None) if val is None else divide(dataset, val, seed)
    if recipe is None:
        return Split(train, None, held_out)
    kept, removed = remove_boxes(train, recipe, seed)
    return Split(kept, removed, held_out)
