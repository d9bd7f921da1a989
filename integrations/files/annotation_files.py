"""The annotations of a project in files: reading, and changes by merges.

An image is identified by its file name, the one id that every annotation tool keeps; a box by its
`tool_id`, or else its COCO id. VOC and YOLO files have no ids, origins and marks of complete
images: there a box is identified by class and coordinates.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from sparsedet.annotations import Box, Dataset, Image
from sparsedet.annotations.entries import xywh
from sparsedet.atomic_io import atomic_path
from sparsedet.errors import SparseDetError
from sparsedet.reviews import Changes, ReviewedRegion, SourceState, scaled

from .review_files import MINED


class OvertakenError(SparseDetError):
    """A file was saved by somebody after it was read; nothing was written."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Changes of images, worked out but not written yet."""

    written: Mapping[str, str]
    """Image -> what its new state is recognised by; see `AnnotationFiles.is_written`."""
    write: Callable[[], Mapping[str, str | None]]
    """Writes the changes, and returns the images' new versions.

    Raises `OvertakenError` if a file changed since it was read; earlier files are already written.
    """


class AnnotationFiles(Protocol):
    """Annotations that have been read."""

    @property
    def dataset(self) -> Dataset:
        """The annotations, with the tool ids of `identify`."""
        ...

    @property
    def images(self) -> Path | None:
        """The image folder."""
        ...

    @property
    def holds_complete(self) -> bool:
        """Whether the format can mark an image, or a class on it, as complete."""
        ...

    @property
    def is_one_file(self) -> bool:
        """Whether all images are in one file, which is written at once."""
        ...

    def file_of(self, image: str) -> Path:
        """Return the file for the annotations of an image; it may not exist."""
        ...

    def content_of(self, image: str) -> Any:
        """Return the annotations of an image as JSON, for `put_back`."""
        ...

    def is_restored(self, image: str, content: Any) -> bool:
        """Whether the annotations of an image are those that `content_of` returned."""
        ...

    def is_written(self, image: str, written: str) -> bool:
        """Whether the annotations of an image are those of `Prepared.written`."""
        ...

    def prepare(self, changes: Mapping[str, Changes]) -> Prepared:
        """Prepare changes by image.

        Every file is written atomically; everything else in it is kept.

        Raises:
            OvertakenError: if a file changed since it was read.
        """
        ...

    def put_back(self, contents: Mapping[str, Any]) -> None:
        """Write back what `content_of` returned, by image.

        Raises:
            OvertakenError: as in `Prepared.write`.
            ToolError: if a class is gone.
        """
        ...


def identify(dataset: Dataset) -> Dataset:
    """Return the annotations of a project with their tool ids, versions and origins.

    The version of an image is a digest of its annotations and marks.
    """
    boxes: dict[int, list[Box]] = {image.id: [] for image in dataset.images}
    taken: set[tuple[int, str]] = set()
    for box in dataset.boxes:
        tool_id = box.tool_id or str(box.id)
        if (box.image_id, tool_id) in taken:  # some tools copy the key when copying a box
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


def with_present_names(dataset: Dataset, rename: Mapping[str, str]) -> Dataset:
    """Return annotations under the current names of their categories.

    Args:
        dataset: as stored.
        rename: stored name -> current name; boxes with an empty current name are left out.
    """
    if not rename:
        return dataset
    names = {c.id: rename.get(c.name, c.name) for c in dataset.categories}
    ids: dict[str, int] = {}
    # If two categories now share a name, the one that already had it stands for both.
    for category in sorted(dataset.categories, key=lambda category: category.name in rename):
        ids.setdefault(names[category.id], category.id)

    def renamed(boxes: Iterable[Box]) -> tuple[Box, ...]:
        kept = (box for box in boxes if names[box.category_id])
        return tuple(replace(box, category_id=ids[names[box.category_id]]) for box in kept)

    categories = tuple(
        replace(
            category,
            name=name,
            aliases=tuple(old for old, new in rename.items() if new == name != old),
        )
        for category in dataset.categories
        if (name := names[category.id]) and ids[name] == category.id
    )

    def complete(marked: frozenset[int]) -> frozenset[int]:
        # Merged classes are complete only if each of them is.
        gaps = {names[category.id] for category in dataset.categories if category.id not in marked}
        return frozenset(ids[name] for id in marked if (name := names[id]) and name not in gaps)

    return replace(
        dataset,
        images=tuple(
            replace(image, complete_classes=complete(image.complete_classes))
            if image.complete_classes
            else image
            for image in dataset.images
        ),
        categories=categories,
        boxes=renamed(dataset.boxes),
        verified_negatives=renamed(dataset.verified_negatives),
    )


def annotation_origin(box: Box) -> str:
    """Return the origin of an annotation; a mined box among them was accepted."""
    if box.origin == MINED:
        return "accepted"
    return box.origin or "human"


def source_state(dataset: Dataset, image: Image, size: tuple[int, int], saved: str) -> SourceState:
    """Return the annotations of an image, in pixels of an image of (width, height) `size`."""
    own = image.width, image.height
    return SourceState(
        tool_id=image.file_name,
        boxes={
            box.tool_id or "": ReviewedRegion(
                box.tool_id or "",
                dataset.category_by_id[box.category_id].name,
                scaled(box.xyxy, own, size),
            )
            for box in dataset.boxes_by_image[image.id]
        },
        complete=image.exhaustive,
        version=image.tool_version,
        saved=saved,
        labels=frozenset(category.name for category in dataset.categories),
        complete_classes=frozenset(
            dataset.category_by_id[id].name for id in image.complete_classes
        ),
    )


def with_place_ids(dataset: Dataset) -> Dataset:
    """Return annotations with tool ids derived from class and coordinates, for formats without ids.

    Unlike indices, these stay the same when other boxes are added or removed.
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


def file_digest(path: Path) -> str:
    """Return a digest of a file's content; empty if there is no file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()
    except FileNotFoundError:
        return ""


def data_digest(data: bytes) -> str:
    """Return the `file_digest` of a file with this content."""
    return hashlib.blake2b(data).hexdigest()


def replace_unchanged(path: Path, digest: str, data: bytes) -> None:
    """Write a file atomically, if it still has the content of `digest`.

    Raises:
        OvertakenError: if it has not.
    """
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(OSError):  # a new file, or a file system without modes
            shutil.copymode(path, temporary)  # colleagues may have to write it, too
        # Last, since somebody may save while data is written to disk.
        if file_digest(path) != digest:
            raise OvertakenError(f"{path}: changed while it was being written; try again")


def _version(image: Image, boxes: Iterable[Box], names: Mapping[int, str]) -> str:
    entries = [
        [box.tool_id, names[box.category_id], xywh(box.xyxy), box.iscrowd, dict(box.extra)]
        for box in boxes
    ]
    # The order of boxes and keys does not matter.
    texts = sorted(json.dumps(entry, sort_keys=True) for entry in entries)
    marks = [str(image.exhaustive), *sorted(names[id] for id in image.complete_classes)]
    return hashlib.sha256("\n".join([*marks, *texts]).encode()).hexdigest()[:16]
