"""The boxes that a removal rule chooses from, as columns in a random order."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sparsedet.annotations import Dataset
from sparsedet.annotations.model import Category, Image
from sparsedet.annotations.table import BoolArray, FloatArray, IntArray, RankArray
from sparsedet.seeds import box_ranks, image_ranks, remixed

_STRIDE = 0xD1B54A32D192ED03
"""An odd constant with well-mixed bits: its multiples give independent random orders."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The boxes that a rule may remove, crowd regions excluded, and their images.

    N boxes on I images; `image` and `category` are rows of `images` and of the categories, not ids.
    """

    images: Sequence[Image]
    image: IntArray
    """Shape (N,), 0 to I - 1."""
    category: IntArray
    """Shape (N,), 0 to the number of categories - 1."""
    xyxy: FloatArray
    """Shape (N, 4), absolute pixels."""
    image_size: FloatArray
    """Shape (I, 2): width and height in pixels."""
    rank: RankArray
    """Shape (N,): the random order of the boxes, see `sparsedet.seeds`."""
    image_rank: RankArray
    """Shape (I,): the random order of the images."""
    categories: Sequence[Category] = ()
    """Names for error messages; `category` is a row of them."""
    propensities: dict[str, FloatArray] = field(default_factory=dict)
    """Computed by `orders.propensity`: they depend on geometry alone, not on the random order."""

    @classmethod
    def of(cls, dataset: Dataset, seed: int) -> "Candidates":
        """Return the boxes of a dataset in the random order of `seed`; N is in file order."""
        table = dataset.table
        countable = ~table.iscrowd
        image_ids = np.array([image.id for image in dataset.images], dtype=np.int64)
        category_ids = np.array([category.id for category in dataset.categories], dtype=np.int64)
        names = [image.file_name for image in dataset.images]
        image = rows_of(table.image_ids[countable], image_ids)
        return cls(
            images=dataset.images,
            image=image,
            category=rows_of(table.category_ids[countable], category_ids),
            xyxy=table.xyxy[countable],
            image_size=np.array(
                [(image.width, image.height) for image in dataset.images], dtype=np.float64
            ).reshape(-1, 2),
            rank=box_ranks(seed, names, image.tolist(), table.ids[countable].tolist()),
            image_rank=image_ranks(seed, names),
            categories=dataset.categories,
        )

    def __len__(self) -> int:
        return len(self.image)

    def select(self, chosen: BoolArray) -> "Candidates":
        """Return the boxes where `chosen` (shape (N,)) is true, on all images."""
        if chosen.all():
            return self
        return replace(
            self,
            propensities={},
            image=self.image[chosen],
            category=self.category[chosen],
            xyxy=self.xyxy[chosen],
            rank=self.rank[chosen],
        )

    def ranked(self, rank: RankArray, image_rank: RankArray) -> "Candidates":
        """Return the same boxes in another random order."""
        return replace(self, rank=rank, image_rank=image_rank)

    def reordered(self, number: int) -> "Candidates":
        """Return the same boxes in random order `number`; 0 is the current one."""
        if number == 0:
            return self
        salt = np.uint64(number * _STRIDE % 2**64)
        return self.ranked(remixed(self.rank ^ salt), remixed(self.image_rank ^ salt))


def rows_of(values: IntArray, ids: IntArray) -> IntArray:
    """Return the row in `ids`, unique and with all values, of each value; shape (N,)."""
    order = np.argsort(ids)
    rows: IntArray = order[np.searchsorted(ids[order], values)]
    return rows
