"""From what stands in files for each image to a `Dataset`."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparsedet.annotations import XYXY, Box, Category, Dataset, Image
from sparsedet.annotations.entries import THINNEST
from sparsedet.errors import AnnotationError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LabelledBox:
    """A box, before boxes and classes are numbered."""

    category: str
    xyxy: XYXY
    """Absolute pixels of the upright image."""
    area: float | None = None
    """Square pixels of the object's polygon; None: that of the box."""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image with its boxes in the order of its file."""

    file_name: str
    width: int
    height: int
    boxes: Sequence[LabelledBox]
    extra: Mapping[str, Any] = field(default_factory=dict)


def to_dataset(images: Iterable[LabelledImage], categories: Sequence[Category]) -> Dataset:
    """Return a dataset: images numbered from 1 by file name, boxes by image and place in its file.

    Args:
        images: in any order.
        categories: all classes that the boxes name.
    """
    ids = {category.name: category.id for category in categories}
    numbered: list[Image] = []
    boxes: list[Box] = []
    ordered = sorted(images, key=lambda image: image.file_name)
    for number, image in enumerate(ordered, start=1):
        numbered.append(
            Image(number, image.file_name, image.width, image.height, extra=image.extra)
        )
        for box in image.boxes:
            boxes.append(
                Box(
                    id=len(boxes) + 1,
                    image_id=number,
                    category_id=ids[box.category],
                    xyxy=box.xyxy,
                    area=box.area,
                    extra=box.extra,
                )
            )
    return Dataset(tuple(numbered), tuple(boxes), tuple(categories))


def with_split(dataset: Dataset, names: Iterable[str]) -> Dataset:
    """Return the part of a dataset on the images of these file names."""
    wanted = set(names)
    return dataset.with_images(image for image in dataset.images if image.file_name in wanted)


class Clipper:
    """Keeps boxes inside their images, and counts those that reached out."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._clipped: list[str] = []

    def clip(self, where: str, xyxy: XYXY, size: tuple[int, int], slack: float) -> XYXY:
        """Return the part of a box that lies inside its image.

        Args:
            where: names the box in errors.
            xyxy: absolute pixels.
            size: (width, height) of the image.
            slack: pixels; a box that reaches out by no more is no matter for a warning.

        Raises:
            AnnotationError: when the box has no area there.
        """
        left, top, right, bottom = xyxy
        if min(right - left, bottom - top) < THINNEST:
            raise AnnotationError(f"{where}: the box has no area")
        inside = (
            max(left, 0.0),
            max(top, 0.0),
            min(right, float(size[0])),
            min(bottom, float(size[1])),
        )
        if min(inside[2] - inside[0], inside[3] - inside[1]) < THINNEST:
            raise AnnotationError(
                f"{where}: the box lies outside its image of {size[0]} x {size[1]}"
            )
        if max(abs(a - b) for a, b in zip(inside, xyxy, strict=True)) > slack:
            self._clipped.append(where)
        return inside

    def warn(self) -> None:
        """Tell how many boxes reached out, if any did."""
        if self._clipped:
            logger.warning(
                "%s: clipped %d boxes that reached over the edge of their image (first: %s)",
                self._source,
                len(self._clipped),
                self._clipped[0],
            )
