"""What is really in the images, and what may be but no label says."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparsedet.annotations import XYXY, Box, Dataset
from sparsedet.errors import AnnotationError, SparseDetError
from sparsedet.files import read_json


@dataclass(frozen=True, slots=True)
class TrueObject:
    """An object that is really in the image."""

    category: str
    """The name of its category."""
    xyxy: XYXY
    """Absolute pixels of the upright image."""


def true_objects(truth: Dataset) -> Mapping[str, Sequence[TrueObject]]:
    """Return the objects of every image, by file name, crowd regions left out."""
    return {
        image.file_name: [
            TrueObject(truth.category_by_id[box.category_id].name, box.xyxy)
            for box in truth.boxes_by_image[image.id]
            if not box.iscrowd
        ]
        for image in truth.images
    }


def read_neutral(path: Path, truth: Dataset) -> tuple[Box, ...]:
    """Read objects that the labels of `truth` lack: a COCO results list of its images (XYWH boxes).

    Returns:
        Boxes with ids from 1 in file order; scores are not used.

    Raises:
        AnnotationError: naming the file and the entry that is broken or belongs elsewhere.
    """
    try:
        entries = read_json(path)
    except SparseDetError as error:
        raise AnnotationError(str(error)) from error
    if not isinstance(entries, list):
        raise AnnotationError(f"{path}: not a COCO results list")
    boxes: list[Box] = []
    for index, entry in enumerate(entries):
        try:
            image_id, category_id = entry["image_id"], entry["category_id"]
            x, y, width, height = (float(value) for value in entry["bbox"])
        except (KeyError, TypeError, ValueError) as error:
            raise AnnotationError(
                f"{path}: entry {index} is no COCO result ({error!r}); it needs image_id, "
                "category_id and bbox"
            ) from error
        xyxy = x, y, x + width, y + height
        if not all(map(math.isfinite, xyxy)) or min(width, height) <= 0:
            raise AnnotationError(f"{path}: entry {index}: bbox {entry['bbox']} has no area")
        for key, value, known in (
            ("image", image_id, truth.image_by_id),
            ("category", category_id, truth.category_by_id),
        ):
            if not isinstance(value, int) or value not in known:
                raise AnnotationError(
                    f"{path}: entry {index}: {key} {value!r} is not in the full annotations"
                )
        boxes.append(Box(len(boxes) + 1, image_id, category_id, xyxy))
    return tuple(boxes)
