"""Replicates: what a recipe removes from a sample of the images each time it is applied."""

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
"""Approximate number of boxes in a sample; all of them if there are no more."""

FIT, TEST, WHOLE = 1_000, 2_000, 3_000
"""First replicate numbers for fitting, for testing, and for testing on all boxes; none is used
twice."""

_OWN_ORDER = np.uint64(0xA0761D6478BD642F)
"""Makes the random order independent of a split with the same seed, where images dropped or visited
first come first."""

_LOST = ("none", "less than half", "half", "more than half", "all")

IMAGE_LABELS = tuple(
    f"images of {boxes} boxes that lost {lost}" for boxes in COUNT_LABELS for lost in _LOST
)
"""Bins of images by their loss."""


def candidates(boxes: Boxes, seed: int) -> Candidates:
    """Return boxes as candidates for removal, in a random order that depends on `seed`.

    The order depends on file names and box ids, not on file order, and is independent of the
    removal order of a split with the same seed.
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
        inside: The rows of their boxes in the requested order; default: as in `boxes`.
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


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Some images with all their boxes, N in total, and the outcomes of these."""

    boxes: Candidates
    removed: BoolArray
    """Shape (N,)."""
    tables: tuple[Table, ...]
    is_all: bool
    """Whether the sample contains all images that a recipe was applied to."""
    image_bins: IntArray
    """Shape (I,): the bin of the number of boxes; negative for images of fewer than 2."""
    underdispersion: dict[tuple[Rule, ...], float] = field(default_factory=dict)
    """Rules -> p-value of the test for underdispersion, since recipes may reduce to equal rules."""

    def counts(self, removed: BoolArray) -> list[IntArray]:
        """Return the removed boxes per bin of each table; last, the images by their loss."""
        images = len(self.boxes.images)
        owned = np.bincount(self.boxes.image, minlength=images)
        gone = np.bincount(self.boxes.image[removed], minlength=images)
        # 0 none, 1 less than half, 2 half, 3 more than half, 4 all
        lost = 2 + np.sign(2 * gone - owned) + (gone == owned) - (gone == 0)
        cell = self.image_bins * len(_LOST) + lost
        cells = np.bincount(cell[self.image_bins >= 0], minlength=len(COUNTS) * len(_LOST))
        return [*(table.counts(removed) for table in self.tables), cells]

    def sizes(self) -> list[IntArray]:
        """Return the totals for `counts`, in the same shapes."""
        images = np.bincount(self.image_bins[self.image_bins >= 0], minlength=len(COUNTS))
        return [*(table.counts() for table in self.tables), np.repeat(images, len(_LOST))]


def make_sample(
    boxes: Candidates,
    removed: BoolArray,
    tables: Sequence[Table],
    size: int = SAMPLE,
    *,
    is_whole: bool = True,
) -> Sample:
    """Sample images in random order until they have `size` boxes.

    Args:
        boxes: N boxes on some images.
        removed: Which of them were removed; shape (N,).
        tables: Tables of the same boxes.
        size: Approximate number of boxes.
        is_whole: Whether the boxes are all that a recipe was applied to.
    """
    owned = np.bincount(boxes.image, minlength=len(boxes.images))
    order = np.argsort(boxes.image_rank)
    before = np.cumsum(owned[order]) - owned[order]
    chosen = np.zeros(len(owned), dtype=np.bool_)
    chosen[order[before < size]] = True
    chosen &= owned > 0
    inside = np.flatnonzero(chosen[boxes.image])
    # Sorted, so that float sums don't depend on file order.
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


def replicate(recipe: Recipe, sample: Sample, number: int) -> BoolArray:
    """Return which boxes of a sample a recipe removes in replicate `number`; shape (N,).

    Raises:
        RecipeError: when the recipe's rules can't be satisfied.
    """
    return recipe.removed(sample.boxes.reordered(number))


def class_residuals(
    sample: Sample, table: Table, counts: FloatArray, by_class: FloatArray
) -> FloatArray:
    """Return counts minus their expectation given the classes; shape (replicates, bins).

    A share of every class holds exactly on all images but not on a sample of them, so a sample's
    deviation from it says nothing about the recipe.

    Args:
        sample: The counted sample.
        table: Table of the sample.
        counts: Removed boxes by the table's bins; shape (replicates, bins).
        by_class: Removed boxes by class; shape (replicates, classes).
    """
    classes = by_class.shape[1]
    cell = table.bins.astype(np.int64) * classes + sample.boxes.category
    boxes = np.bincount(cell, minlength=len(table.labels) * classes).reshape(-1, classes)
    owned = np.maximum(boxes.sum(axis=0), 1)
    residuals: FloatArray = counts - (by_class / owned) @ boxes.T
    return residuals
