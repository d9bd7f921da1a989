"""A recipe played again and again, and counted: what it leaves to chance, and how far that goes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sparsedet.annotations.table import BoolArray, FloatArray, IntArray
from sparsedet.comparison.pairing import Boxes
from sparsedet.comparison.tables import COUNT_LABELS, COUNTS, Table
from sparsedet.seeds import image_ranks, remixed
from sparsedet.sparsify.candidates import Candidates
from sparsedet.sparsify.recipe import Recipe
from sparsedet.sparsify.rules import Rule

SAMPLE = 20_000
"""Boxes that recipes are played on, about; all of them where there are no more."""

FIT, TEST, WHOLE = 1_000, 2_000, 3_000
"""Where the numbers of the plays begin that fit parameters, that test, and that test on all boxes:
no play is used twice."""

_OWN_ORDER = np.uint64(0xA0761D6478BD642F)
"""Tells the order of comparisons from that of splits, whose seed is often the same: images that
come first in a split's order are those that it dropped or visited first."""

_LOST = ("none", "less than half", "half", "more than half", "all")


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """N boxes on some images with all their boxes, and what happened to them."""

    boxes: Candidates
    removed: BoolArray
    """Shape (N,)."""
    tables: tuple[Table, ...]
    is_all: bool
    """The images are all that a recipe was applied to."""
    image_bins: IntArray
    """Shape (I,): the bin of the number of boxes; negative for images of fewer than 2."""
    evenness: dict[tuple[Rule, ...], float] = field(default_factory=dict)
    """Rules -> p-value of the test of evenness: several recipes come down to the same rules."""

    def counts(self, removed: BoolArray) -> list[IntArray]:
        """Return the removed boxes in every table's bins; last, the images by what they lost."""
        images = len(self.boxes.images)
        owned = np.bincount(self.boxes.image, minlength=images)
        gone = np.bincount(self.boxes.image[removed], minlength=images)
        # 0 none, 1 less than half, 2 half, 3 more than half, 4 all
        lost = 2 + np.sign(2 * gone - owned) + (gone == owned) - (gone == 0)
        cell = self.image_bins * len(_LOST) + lost
        cells = np.bincount(cell[self.image_bins >= 0], minlength=len(COUNTS) * len(_LOST))
        return [*(table.counts(removed) for table in self.tables), cells]

    def sizes(self) -> list[IntArray]:
        """Return what `counts` is counted among, of the same shapes."""
        images = np.bincount(self.image_bins[self.image_bins >= 0], minlength=len(COUNTS))
        return [*(table.counts() for table in self.tables), np.repeat(images, len(_LOST))]


IMAGE_LABELS = tuple(
    f"images of {boxes} boxes that lost {lost}" for boxes in COUNT_LABELS for lost in _LOST
)
"""The bins of images by what they lost."""


def make_sample(
    boxes: Candidates,
    removed: BoolArray,
    tables: Sequence[Table],
    size: int = SAMPLE,
    *,
    is_whole: bool = True,
) -> Sample:
    """Return the images that come first in random order, until they have `size` boxes.

    Args:
        boxes: N boxes on some images.
        removed: What happened to them; shape (N,).
        tables: Of the same boxes.
        size: How many boxes, about.
        is_whole: The boxes are all that a recipe was applied to.
    """
    owned = np.bincount(boxes.image, minlength=len(boxes.images))
    order = np.argsort(boxes.image_rank)
    before = np.cumsum(owned[order]) - owned[order]
    chosen = np.zeros(len(owned), dtype=np.bool_)
    chosen[order[before < size]] = True
    chosen &= owned > 0
    inside = np.flatnonzero(chosen[boxes.image])
    # Always in one order, so that sums of floats are the same for every order of the file.
    inside = inside[np.lexsort((boxes.rank[inside], boxes.image_rank[boxes.image[inside]]))]
    owned = owned[chosen]
    bins = np.searchsorted(np.asarray(COUNTS[1:]), owned, side="right")
    return Sample(
        boxes=on_images(boxes, chosen, inside),
        removed=removed[inside],
        tables=tuple(table.select(inside) for table in tables),
        is_all=is_whole and len(inside) == len(boxes),
        image_bins=np.where(owned >= 2, bins, -1),
    )


def play(recipe: Recipe, sample: Sample, number: int) -> BoolArray:
    """Return which boxes of a sample a recipe removes in its play `number`; shape (N,).

    Raises:
        RecipeError: when the recipe's rules can't be met.
    """
    return recipe.removed(sample.boxes.reordered(number))


def given_classes(
    sample: Sample, table: Table, counts: FloatArray, by_class: FloatArray
) -> FloatArray:
    """Return counts less what the boxes' classes let expect; shape (plays, bins).

    A share of every class of all boxes is met exactly on all images, but not on some: whether a
    sample's classes lost a little more or less says nothing about the recipe.

    Args:
        sample: what was counted.
        table: of the sample.
        counts: removed boxes by the table's bins; shape (plays, bins).
        by_class: removed boxes by class; shape (plays, classes).
    """
    classes = by_class.shape[1]
    cell = table.bins.astype(np.int64) * classes + sample.boxes.category
    boxes = np.bincount(cell, minlength=len(table.labels) * classes).reshape(-1, classes)
    owned = np.maximum(boxes.sum(axis=0), 1)
    expected: FloatArray = counts - (by_class / owned) @ boxes.T
    return expected


def candidates(boxes: Boxes, seed: int) -> Candidates:
    """Return boxes as a recipe sees them, in a random order that belongs to `seed`.

    The order comes from file names and box ids, so that the order of the file does not matter. It
    has nothing in common with the order in which a split of the same seed removes boxes.
    """
    names = [image.file_name for image in boxes.images]
    image_rank = remixed(image_ranks(seed, names) ^ _OWN_ORDER)
    size = [(image.width, image.height) for image in boxes.images]
    return Candidates(
        images=boxes.images,
        image=boxes.image,
        category=boxes.category,
        xyxy=boxes.xyxy,
        image_size=np.array(size, dtype=np.float64).reshape(-1, 2),
        rank=remixed(image_rank[boxes.image] + remixed(boxes.id.astype(np.uint64))),
        image_rank=image_rank,
    )


def on_images(
    boxes: Candidates, chosen: BoolArray, inside: npt.NDArray[np.intp] | None = None
) -> Candidates:
    """Return the boxes on the images where `chosen` (shape (I,)) is true, and only those images.

    Args:
        boxes: N boxes on I images.
        chosen: Which images.
        inside: The rows of their boxes, in another order than that of `boxes`.
    """
    row = np.cumsum(chosen) - 1
    if inside is None:
        inside = np.flatnonzero(chosen[boxes.image])
    return Candidates(
        images=[boxes.images[index] for index in np.flatnonzero(chosen).tolist()],
        image=row[boxes.image[inside]],
        category=boxes.category[inside],
        xyxy=boxes.xyxy[inside],
        image_size=boxes.image_size[chosen],
        rank=boxes.rank[inside],
        image_rank=boxes.image_rank[chosen],
    )
