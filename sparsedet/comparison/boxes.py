"""The boxes of an annotation file in columns, without the entries that they were read from."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparsedet.annotations import Dataset, Image
from sparsedet.annotations.table import BoolArray, FloatArray, IntArray
from sparsedet.seeds import image_ranks, remixed
from sparsedet.sparsify.candidates import Candidates, rows_of

_OWN_ORDER = np.uint64(0xA0761D6478BD642F)
"""Tells the order of comparisons from that of splits, whose seed is often the same: images that
come first in a split's order are those that it dropped or visited first."""


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """N boxes on I images. Crowd regions are not among them.

    A file's entries take ten times the memory of its columns: keep this, and let go of the dataset.
    """

    images: tuple[Image, ...]
    classes: tuple[str, ...]
    id: IntArray
    """Shape (N,)."""
    image: IntArray
    """Shape (N,), rows of `images`."""
    category: IntArray
    """Shape (N,), rows of `classes`."""
    xyxy: FloatArray
    """Shape (N, 4), absolute pixels."""
    is_empty: BoolArray
    """Shape (I,): the image has no annotation, not even a crowd region."""

    @classmethod
    def of(cls, dataset: Dataset) -> "Boxes":
        """Return the boxes of a dataset, in file order."""
        table = dataset.table
        countable = ~table.iscrowd
        image_ids = np.array([image.id for image in dataset.images], dtype=np.int64)
        category_ids = np.array([category.id for category in dataset.categories], dtype=np.int64)
        return cls(
            images=dataset.images,
            classes=tuple(category.name for category in dataset.categories),
            id=table.ids[countable],
            image=rows_of(table.image_ids[countable], image_ids),
            category=rows_of(table.category_ids[countable], category_ids),
            xyxy=table.xyxy[countable],
            is_empty=~np.isin(image_ids, table.image_ids),
        )

    def __len__(self) -> int:
        return len(self.id)


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
