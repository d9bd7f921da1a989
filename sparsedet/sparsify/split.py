"""Sparse splits: boxes removed by a recipe, images divided into training and validation."""

from dataclasses import dataclass, replace

from sparsedet.annotations import Box, Dataset
from sparsedet.errors import SparseDetError
from sparsedet.sparsify.ranking import stable_rank
from sparsedet.sparsify.recipe import Recipe


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


def make_split(dataset: Dataset, recipe: Recipe | None, val: float | None, seed: int) -> Split:
    """Hold out a share `val` of the images, then remove boxes from the others by `recipe`.

    Validation images keep all their boxes: a figure measured on missing labels says little.
    """
    train, held_out = (dataset, None) if val is None else divide(dataset, val, seed)
    if recipe is None:
        return Split(train, None, held_out)
    kept, removed = remove_boxes(train, recipe, seed)
    return Split(kept, removed, held_out)


def remove_boxes(dataset: Dataset, recipe: Recipe, seed: int) -> tuple[Dataset, Dataset]:
    """Apply a recipe; return the sparse dataset and the removed boxes on the same images.

    The two partition the boxes, in file order. Crowd regions and verified background always stay,
    as does every image. The result depends on the seed, the file names and the box ids alone, not
    on the order of images and boxes.

    An image that lost a box is no longer `exhaustive`.
    """
    names = {image.id: image.file_name for image in dataset.images}

    def rank(box: Box) -> tuple[int, int]:
        return stable_rank(seed, names[box.image_id], box.id), box.id

    ranked = sorted((box for box in dataset.boxes if not box.iscrowd), key=rank)
    gone = list(recipe.removal.removed(ranked))
    gone_ids = {box.id for box in gone}
    incomplete = {box.image_id for box in gone}
    kept = replace(
        dataset,
        images=tuple(
            replace(image, exhaustive=image.exhaustive and image.id not in incomplete)
            for image in dataset.images
        ),
        boxes=tuple(box for box in dataset.boxes if box.id not in gone_ids),
    )
    removed = replace(
        dataset,
        images=tuple(replace(image, exhaustive=False) for image in dataset.images),
        boxes=tuple(box for box in dataset.boxes if box.id in gone_ids),
        background=(),
    )
    return kept, removed


def divide(dataset: Dataset, val: float, seed: int) -> tuple[Dataset, Dataset]:
    """Divide the images into training and validation; return both, in file order.

    Args:
        dataset: The images to divide, with their boxes.
        val: Share of the images for validation, between 0 and 1; at least one image goes to
            either side.
        seed: Which images; the choice does not depend on their order in the file.

    Raises:
        SparseDetError: when `val` is out of range or there are fewer than two images.
    """
    if not 0 < val < 1:
        raise SparseDetError(f"--val is {val}, expected a share of the images between 0 and 1")
    total = len(dataset.images)
    if total < 2:
        raise SparseDetError(
            f"{total} image(s) can't be divided into training and validation; at least 2 are needed"
        )
    held_out = min(max(round(val * total), 1), total - 1)
    ranked = sorted(dataset.images, key=lambda image: stable_rank(seed, image.file_name))
    chosen = {image.id for image in ranked[:held_out]}
    return (
        dataset.with_images(image for image in dataset.images if image.id not in chosen),
        dataset.with_images(image for image in dataset.images if image.id in chosen),
    )


def hold_out(dataset: Dataset, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """Divide the images into training and validation, each image by itself.

    Unlike `divide` the share is met on average only, but an image stays on its side for good,
    however many others come or go: what for rounds on a growing project counts.

    Raises:
        SparseDetError: when one side stays empty.
    """
    held_out = {
        image.id for image in dataset.images if stable_rank(seed, image.file_name) < share * 2**64
    }
    if not 0 < len(held_out) < len(dataset.images):
        raise SparseDetError(
            f"a validation share of {share} leaves one side of {len(dataset.images)} images empty; "
            "choose another share, or measure on a file of its own"
        )
    return (
        dataset.with_images(image for image in dataset.images if image.id not in held_out),
        dataset.with_images(image for image in dataset.images if image.id in held_out),
    )
