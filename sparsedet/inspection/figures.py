"""Numbers and sizes of a dataset's images, boxes and classes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sparsedet.annotations import Dataset

_SMALL, _LARGE = 32.0, 96.0
"""Pixels: COCO's bounds of small and large objects, as the side of a square."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of a set of images."""

    images: int
    images_without_boxes: int
    exhaustive: int
    """Number of images that a person marked as complete."""
    boxes: int
    crowds: int
    """Number of crowd regions, which don't count as boxes."""
    verified_negatives: int
    per_class: Mapping[str, int]
    """Class -> number of boxes."""
    image_widths: Sequence[int]
    """Pixels: least, median, largest; empty without images."""
    image_heights: Sequence[int]
    box_sides: Sequence[float]
    """Pixels: least, median and largest square root of a box's area; empty without boxes."""
    small: int
    """Number of boxes smaller than 32 x 32 pixels."""
    large: int
    """Number of boxes larger than 96 x 96 pixels."""

    def as_json(self) -> dict[str, Any]:
        """Return the figures by name."""
        return asdict(self)


def figures(dataset: Dataset) -> Figures:
    """Return the figures of a dataset."""
    import numpy as np

    table = dataset.table.select(~dataset.table.iscrowd)
    sides = np.sqrt(np.prod(table.xyxy[:, 2:] - table.xyxy[:, :2], axis=1))
    used = set(dataset.table.image_ids.tolist())
    return Figures(
        images=len(dataset.images),
        images_without_boxes=sum(image.id not in used for image in dataset.images),
        exhaustive=sum(image.exhaustive for image in dataset.images),
        boxes=len(table),
        crowds=len(dataset.boxes) - len(table),
        verified_negatives=len(dataset.verified_negatives),
        per_class=dataset.counts(),
        image_widths=[round(v) for v in _spread([image.width for image in dataset.images])],
        image_heights=[round(v) for v in _spread([image.height for image in dataset.images])],
        box_sides=[round(value, 1) for value in _spread(sides.tolist())],
        small=int(np.count_nonzero(sides < _SMALL)),
        large=int(np.count_nonzero(sides > _LARGE)),
    )


def _spread(values: Sequence[float]) -> list[float]:
    """Return minimum, median and maximum; empty without values."""
    if not values:
        return []
    ordered = sorted(values)
    return [ordered[0], ordered[len(ordered) // 2], ordered[-1]]
