"""Detects boxes in shares of their images, where pixels are expected."""

import numpy as np

from sparsedet.annotations.dataset import Dataset
from sparsedet.annotations.faults import MAX_LEFT_OUT
from sparsedet.errors import AnnotationError

_SMALL = 8
"""Pixels per side; of smaller images, a box may well be within the first pixel."""


def refuse_shares(source: object, dataset: Dataset) -> None:
    """Refuse boxes that are all within the first pixel, or too many of them to be a mistake.

    Raises:
        AnnotationError: with their number.
    """
    if not dataset.boxes:
        return
    large = [image.id for image in dataset.images if min(image.width, image.height) >= _SMALL]
    boxes = dataset.table.xyxy[np.isin(dataset.table.image_ids, large)]
    sides = boxes[:, 2:] - boxes[:, :2]
    count = int(((boxes.max(axis=1) <= 1) & (sides.min(axis=1) < 1)).sum())
    total = len(boxes)
    if not count or (count < total and count <= max(1, MAX_LEFT_OUT * total)):
        return
    if total == 1:
        found = "its only box is within the first pixel of its image"
    else:
        which = f"all {total}" if count == total else f"{count} of {total}"
        found = f"{which} boxes are within the first pixel of their image"
    raise AnnotationError(
        f"{source}: {found}; are these shares of its width and height? Boxes must be in pixels here"
    )
