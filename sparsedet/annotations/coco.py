"""Read and write COCO JSON, with clear errors, preserving unknown keys."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sparsedet.annotations.corners import CornersError, seem_corners
from sparsedet.annotations.dataset import Dataset
from sparsedet.annotations.entries import EntryReader, box_entry, image_entry
from sparsedet.annotations.faults import BOX_CLIPPED, BOX_WITHOUT_AREA, Faults
from sparsedet.annotations.lvis import lvis_keys, with_lvis_marks
from sparsedet.annotations.model import Box, Image
from sparsedet.annotations.repair import SizeOf, no_size, repaired, without_unused_root
from sparsedet.atomic_io import read_json, without_collector, write_bytes
from sparsedet.errors import AnnotationError, SparseDetError
from sparsedet.wording import counted

logger = logging.getLogger(__name__)

_TOP_KEYS = {"images", "annotations", "categories", "background"}


def read_coco(path: Path, faults: Faults | None = None) -> Dataset:
    """Read a COCO detection file.

    Boxes that extend beyond the image are clipped, and annotations with a declared `area` of 0 are
    left out; a warning counts each kind.

    Args:
        path: the file.
        faults: collects faults that can be left out or repaired, without a warning; None: the first
            fault is an error.

    Raises:
        AnnotationError: naming the file and the id of the broken image, annotation or category.
    """
    with without_collector():
        return from_coco(read_content(path), source=str(path), faults=faults)


def read_content(path: Path) -> Any:
    """Return the parsed content of a COCO file.

    Raises:
        AnnotationError: naming the file and the position of a syntax error.
    """
    try:
        return read_json(path)
    except SparseDetError as error:
        raise AnnotationError(str(error)) from error


def from_coco(
    content: Any, *, source: str, faults: Faults | None = None, size_of: SizeOf = no_size
) -> Dataset:
    """Build a dataset from the parsed content of a COCO file.

    Args:
        content: the parsed file.
        source: its name in errors.
        faults: see `read_coco`.
        size_of: provides the size of images whose entries have none; only with `faults`.
    """
    if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= set(content):
        raise AnnotationError(
            f"{source}: not a COCO annotation file: needs the keys images, annotations "
            "and categories"
        )
    if faults is None or faults.strict:
        dataset, reader = _read(content, source)
        clipped, empty = (
            counted(len(reader.clipped), "box"),
            counted(len(reader.empty), "annotation"),
        )
        _warn(source, f"clipped {clipped} that extended beyond the image", reader.clipped)
        _warn(source, f"left out {empty} whose bbox and area are 0", reader.empty)
        return dataset
    for key in ("images", "annotations", "categories"):
        if not isinstance(content[key], list):
            raise AnnotationError(f"{source}: {key} is not a list")
    content = without_unused_root(content, faults)
    try:
        dataset, reader = _read(content, source)
    except CornersError:
        raise
    except AnnotationError:
        dataset, reader = _read(repaired(content, faults, size_of), source)
    for kind, entries in ((BOX_CLIPPED, reader.clipped), (BOX_WITHOUT_AREA, reader.empty)):
        for entry in entries:
            faults.note(kind, entry, f"{source}: {entry}: {kind.what}")
    faults.kept(len(dataset.images), len(dataset.boxes))
    return _without_false_marks(dataset, faults)


def _without_false_marks(dataset: Dataset, faults: Faults) -> Dataset:
    """Return a dataset in which images that lost a box are not complete in any class."""
    lossy = {fault.image_id for fault in faults.found if fault.kind.loses == "box"} - {None}
    if not lossy:
        return dataset
    images = (
        replace(i, exhaustive=False, complete_classes=frozenset()) if i.id in lossy else i
        for i in dataset.images
    )
    return replace(dataset, images=tuple(images))


def _read(content: Mapping[str, Any], source: str) -> tuple[Dataset, EntryReader]:
    """Read valid content; the reader knows which boxes it clipped."""
    reader = EntryReader(source)
    images = _read_images(reader, content["images"])
    categories = reader.read_all(content["categories"], "categories", reader.category)
    reader.check_names(images, categories)
    reader.sizes = {image.id: (image.width, image.height) for image in images}
    reader.category_ids = {category.id for category in categories}
    boxes = _read_boxes(reader, content["annotations"])
    background = reader.read_all(content.get("background", []), "background", reader.box)
    _refuse_corners(reader, content["annotations"])
    reader.check_complete_classes(images)
    images = with_lvis_marks(images, boxes, reader.category_ids, source=source)
    extra = {key: value for key, value in content.items() if key not in _TOP_KEYS}
    return Dataset(images, boxes, categories, background, extra), reader


def _refuse_corners(reader: EntryReader, entries: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a file whose boxes all seem to be `[x1, y1, x2, y2]`."""
    if not reader.clipped:
        return
    numbers = (
        (bbox, (bbox[0], bbox[1], bbox[0] + bbox[2], bbox[1] + bbox[3]), size)
        for entry in entries
        for bbox, size in [(entry["bbox"], reader.sizes[entry["image_id"]])]
    )
    if seem_corners(numbers):
        raise CornersError(
            f"{reader.source}: each bbox seems to be [x1, y1, x2, y2], not [x, y, width, height] "
            f"as in COCO, with which {len(reader.clipped)} of {len(entries)} extend beyond their "
            "image; subtract x1 and y1 from the last two numbers"
        )


def to_coco(dataset: Dataset) -> dict[str, Any]:
    """Return the dataset as COCO content: XYWH boxes, unknown keys unchanged.

    The entries are copies: pycocotools, for one, writes into them.
    """
    content = _content(dataset)
    return {**content, "annotations": [dict(entry) for entry in content["annotations"]]}


def write_coco(dataset: Dataset, path: Path) -> None:
    """Write the dataset as a COCO file, atomically."""
    import orjson

    with without_collector():
        content = _content(dataset)
        try:
            data = orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)
        except TypeError:
            # Unknown keys may hold what only Python's own parser accepts: lone surrogates, numbers
            # beyond 64 bits.
            data = f"{json.dumps(content)}\n".encode()
        write_bytes(path, data)


def _content(dataset: Dataset) -> dict[str, Any]:
    """Return the content of a COCO file; annotations may be those of the source file."""
    content: dict[str, Any] = {
        **dataset.extra,
        "images": [
            {**image_entry(image), **keys}
            for image, keys in zip(dataset.images, lvis_keys(dataset), strict=True)
        ],
        "annotations": [_annotation(source) for source in dataset.table.sources],
        "categories": [
            {**category.extra, "id": category.id, "name": category.name}
            for category in dataset.categories
        ],
    }
    if dataset.verified_negatives:
        content["background"] = [_background_entry(box) for box in dataset.verified_negatives]
    return content


def _read_images(reader: EntryReader, entries: Any) -> tuple[Image, ...]:
    """Read images in bulk if all are valid, else one by one."""
    from sparsedet.annotations.columns import read_images

    images = read_images(entries) if isinstance(entries, list) else None
    return reader.read_all(entries, "images", reader.image) if images is None else images


def _read_boxes(reader: EntryReader, entries: Any) -> Sequence[Box]:
    """Read annotations in bulk if all are valid, else one by one."""
    from sparsedet.annotations.columns import read_columns

    if isinstance(entries, list):
        columns = read_columns(entries, reader.sizes, reader.category_ids)
        if columns is not None:
            reader.clipped += [f"annotations id {id}" for id in columns.clipped]
            reader.empty += [f"annotations id {id}" for id in columns.empty]
            return columns.table
    return reader.read_all(entries, "annotations", reader.box)


def _annotation(source: Box | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a table row as COCO entry; an entry that was read is kept if complete."""
    if isinstance(source, Box):
        return box_entry(source)
    area = source.get("area")
    if area is not None and "iscrowd" in source:
        return source
    _, _, width, height = source["bbox"]
    return {
        **source,
        "area": width * height if area is None else area,
        "iscrowd": source.get("iscrowd", 0),
    }


def _background_entry(box: Box) -> dict[str, Any]:
    entry = box_entry(box)
    return {key: entry[key] for key in entry if key not in ("area", "iscrowd")}


def _warn(source: str, what: str, entries: Sequence[str]) -> None:
    if entries:
        logger.warning("%s: %s (first: %s)", source, what, entries[0])
