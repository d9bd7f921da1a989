"""By what images and boxes of a project are known, and when an image counts as changed."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

from sparsedet.annotations import Box, Dataset, Image
from sparsedet.annotations.entries import xywh

MINED = "mined"
"""`origin` of a box that is up for review; no origin of an annotation."""


def identify(dataset: Dataset) -> Dataset:
    """Return the annotations of a project with their tool ids, versions and origins.

    An image is known by its file name, the one id that every annotation tool keeps; a box by its
    own `tool_id`, or by its COCO id where it has none. The version of an image is a digest of its
    annotations and of its `exhaustive` mark.
    """
    boxes: dict[int, list[Box]] = {image.id: [] for image in dataset.images}
    taken: set[tuple[int, str]] = set()
    for box in dataset.boxes:
        tool_id = box.tool_id or str(box.id)
        if (box.image_id, tool_id) in taken:  # copying a box copies the key in some tools
            tool_id = f"{tool_id}-{box.id}"
        taken.add((box.image_id, tool_id))
        boxes[box.image_id].append(replace(box, tool_id=tool_id, origin=annotation_origin(box)))
    names = {category.id: category.name for category in dataset.categories}
    return replace(
        dataset,
        images=tuple(
            replace(
                image,
                tool_id=image.file_name,
                tool_version=_version(image, boxes[image.id], names),
            )
            for image in dataset.images
        ),
        boxes=tuple(box for group in boxes.values() for box in group),
    )


def with_place_ids(dataset: Dataset) -> Dataset:
    """Return annotations whose tool ids are made of class and place, for formats without ids.

    Unlike their number they stay when other boxes come and go.
    """
    names = {category.id: category.name for category in dataset.categories}
    taken: set[tuple[int, str]] = set()
    boxes = []
    for box in dataset.boxes:
        place = ",".join(f"{value:.2f}" for value in box.xyxy)
        text = f"{names[box.category_id]}|{place}"
        tool_id = hashlib.sha256(text.encode()).hexdigest()[:16]
        while (box.image_id, tool_id) in taken:  # the same box twice
            tool_id += "+"
        taken.add((box.image_id, tool_id))
        boxes.append(replace(box, tool_id=tool_id))
    return dataset.with_boxes(boxes)


def annotation_origin(box: Box) -> str:
    """Return the origin of an annotation; a mined box that somebody made one has been accepted."""
    if box.origin == MINED:
        return "accepted"
    return box.origin or "human"


def _version(image: Image, boxes: Iterable[Box], names: Mapping[int, str]) -> str:
    entries = [
        [box.tool_id, names[box.category_id], xywh(box.xyxy), box.iscrowd, dict(box.extra)]
        for box in boxes
    ]
    # Neither the order of the boxes nor that of their keys is a change.
    texts = sorted(json.dumps(entry, sort_keys=True) for entry in entries)
    return hashlib.sha256("\n".join([str(image.exhaustive), *texts]).encode()).hexdigest()[:16]
