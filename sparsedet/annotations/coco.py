"""COCO JSON in and out, with clear errors and without losing keys that others wrote."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, TypeGuard, TypeVar

from sparsedet.annotations.model import XYXY, Box, Category, Dataset, Image
from sparsedet.errors import AnnotationError, SparseDetError
from sparsedet.files import read_json, write_json

logger = logging.getLogger(__name__)

DECIMALS = 4
"""Coordinates are written with this many decimals: 1e-4 pixel, without float noise in files."""

_THINNEST = 0.6 * 10**-DECIMALS
"""Pixels; rounding would leave nothing of a thinner box when it is written."""
_ROUNDING = 2 * 10**-DECIMALS
"""Pixels; a box may reach that far over the edge without a warning: corner and size are rounded."""

_IMAGE_KEYS = {"id", "file_name", "width", "height", "exhaustive", "tool_id", "tool_version"}
_BOX_KEYS = {"id", "image_id", "category_id", "bbox", "iscrowd", "area", "origin", "tool_id"}
_CATEGORY_KEYS = {"id", "name"}
_TOP_KEYS = {"images", "annotations", "categories", "background"}

Item = TypeVar("Item", Image, Box, Category)


def read_coco(path: Path) -> Dataset:
    """Read a COCO detection file.

    Boxes that reach over the image's edge are clipped; a warning counts them.

    Raises:
        AnnotationError: naming the file and the id of the broken image, annotation or category.
    """
    try:
        content = read_json(path)
    except SparseDetError as error:
        raise AnnotationError(str(error)) from error
    return from_coco(content, source=str(path))


def from_coco(content: Any, *, source: str) -> Dataset:
    """Build a dataset from the parsed content of a COCO file; `source` names it in errors."""
    if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= set(content):
        raise AnnotationError(
            f"{source}: not a COCO annotation file (needs the keys images, annotations, categories)"
        )
    reader = _Reader(source)
    images = reader.read_all(content, "images", reader.image)
    categories = reader.read_all(content, "categories", reader.category)
    reader.check_names(images, categories)
    reader.sizes = {image.id: (image.width, image.height) for image in images}
    reader.category_ids = {category.id for category in categories}
    boxes = reader.read_all(content, "annotations", reader.box)
    background = reader.read_all(content, "background", reader.box)
    if reader.clipped:
        logger.warning(
            "%s: clipped %d boxes that reached over the edge of their image (first: %s)",
            source,
            len(reader.clipped),
            reader.clipped[0],
        )
    extra = {key: value for key, value in content.items() if key not in _TOP_KEYS}
    return Dataset(images, boxes, categories, background, extra)


def to_coco(dataset: Dataset) -> dict[str, Any]:
    """Return the dataset as the content of a COCO file: XYWH boxes, unknown keys as they came."""
    content: dict[str, Any] = {
        **dataset.extra,
        "images": [_image_entry(image) for image in dataset.images],
        "annotations": [_box_entry(box) for box in dataset.boxes],
        "categories": [
            {**category.extra, "id": category.id, "name": category.name}
            for category in dataset.categories
        ],
    }
    if dataset.background:
        content["background"] = [_background_entry(box) for box in dataset.background]
    return content


def write_coco(dataset: Dataset, path: Path) -> None:
    """Write the dataset as a COCO file, atomically."""
    write_json(path, to_coco(dataset))


def xywh(xyxy: XYXY) -> list[float]:
    """Return `[x, y, width, height]` of an XYXY box, rounded to `DECIMALS`."""
    left, top, right, bottom = xyxy
    return [round(value, DECIMALS) for value in (left, top, right - left, bottom - top)]


def _image_entry(image: Image) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": image.id,
        "file_name": image.file_name,
        "width": image.width,
        "height": image.height,
        **image.extra,
    }
    if image.exhaustive:
        entry["exhaustive"] = True
    if image.tool_id is not None:
        entry["tool_id"] = image.tool_id
    if image.tool_version is not None:
        entry["tool_version"] = image.tool_version
    return entry


def _box_entry(box: Box) -> dict[str, Any]:
    area = box.width * box.height if box.area is None else box.area
    entry: dict[str, Any] = {
        "id": box.id,
        "image_id": box.image_id,
        "category_id": box.category_id,
        "bbox": xywh(box.xyxy),
        "area": round(area, DECIMALS),
        "iscrowd": int(box.iscrowd),
        **box.extra,
    }
    if box.origin is not None:
        entry["origin"] = box.origin
    if box.tool_id is not None:
        entry["tool_id"] = box.tool_id
    return entry


def _background_entry(box: Box) -> dict[str, Any]:
    entry = _box_entry(box)
    return {key: entry[key] for key in entry if key not in ("area", "iscrowd")}


class _Reader:
    """Reads the entries of one file; knows what an error message needs."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.sizes: Mapping[int, tuple[int, int]] = {}
        self.category_ids: set[int] = set()
        self.clipped: list[str] = []

    def read_all(
        self, content: Mapping[str, Any], key: str, read: Callable[[str, Mapping[str, Any]], Item]
    ) -> tuple[Item, ...]:
        """Read the list under `key`, refusing entries without an integer id and repeated ids."""
        entries = content.get(key, [])
        if not isinstance(entries, list):
            raise AnnotationError(f"{self.source}: {key} is not a list")
        items: dict[int, Item] = {}
        for index, entry in enumerate(entries):
            if not isinstance(entry, dict) or not _is_int(entry.get("id")):
                raise AnnotationError(f"{self.source}: {key}[{index}] has no integer id")
            where = f"{self.source}: {key} id {entry['id']}"
            if entry["id"] in items:
                raise AnnotationError(f"{where}: the id is used twice")
            items[entry["id"]] = read(where, entry)
        return tuple(items.values())

    def image(self, where: str, entry: Mapping[str, Any]) -> Image:
        name = entry.get("file_name")
        if not isinstance(name, str) or not name or "\0" in name:
            raise AnnotationError(f"{where}: file_name {name!r} is not the name of a file")
        name = name.replace("\\", "/")
        if _leaves_folder(name):
            raise AnnotationError(f"{where}: file_name {name!r} leaves the image folder")
        for key in ("width", "height"):
            if not _is_int(entry.get(key)) or entry[key] <= 0:
                raise AnnotationError(
                    f"{where}: {key} is {entry.get(key)!r}, expected a positive integer"
                )
        return Image(
            id=entry["id"],
            file_name=name,
            width=entry["width"],
            height=entry["height"],
            exhaustive=entry.get("exhaustive") is True,
            tool_id=_optional_text(entry.get("tool_id")),
            tool_version=_optional_text(entry.get("tool_version")),
            extra=_unknown(entry, _IMAGE_KEYS),
        )

    def category(self, where: str, entry: Mapping[str, Any]) -> Category:
        if not isinstance(entry.get("name"), str) or not entry["name"]:
            raise AnnotationError(f"{where}: no name")
        return Category(entry["id"], entry["name"], _unknown(entry, _CATEGORY_KEYS))

    def check_names(self, images: Sequence[Image], categories: Sequence[Category]) -> None:
        """Refuse two images of one file and two categories of one name."""
        files: dict[str, int] = {}
        for image in images:
            if (first := files.setdefault(image.file_name, image.id)) != image.id:
                raise AnnotationError(
                    f"{self.source}: images id {image.id}: file_name {image.file_name!r} is "
                    f"already that of image id {first}"
                )
        names: dict[str, int] = {}
        for category in categories:
            if (first := names.setdefault(category.name, category.id)) != category.id:
                raise AnnotationError(
                    f"{self.source}: categories id {category.id}: name {category.name!r} is "
                    f"already that of category id {first}"
                )

    def box(self, where: str, entry: Mapping[str, Any]) -> Box:
        image_id, category_id = entry.get("image_id"), entry.get("category_id")
        if not _is_int(image_id) or image_id not in self.sizes:
            raise AnnotationError(f"{where}: image_id {image_id!r} is not among the images")
        if not _is_int(category_id) or category_id not in self.category_ids:
            raise AnnotationError(
                f"{where}: category_id {category_id!r} is not among the categories"
            )
        iscrowd = entry.get("iscrowd", 0)
        if iscrowd not in (0, 1):
            raise AnnotationError(f"{where}: iscrowd is {iscrowd!r}, expected 0 or 1")
        area = entry.get("area")
        if area is not None and not (_is_number(area) and math.isfinite(area) and area >= 0):
            raise AnnotationError(f"{where}: area {area!r} is not a number of square pixels")
        return Box(
            id=entry["id"],
            image_id=image_id,
            category_id=category_id,
            xyxy=self.clip(where, entry.get("bbox"), self.sizes[image_id]),
            iscrowd=iscrowd == 1,
            area=None if area is None else float(area),
            origin=_optional_text(entry.get("origin")),
            tool_id=_optional_text(entry.get("tool_id")),
            extra=_unknown(entry, _BOX_KEYS),
        )

    def clip(self, where: str, bbox: Any, size: tuple[int, int]) -> XYXY:
        """Return the XYXY box of a COCO bbox inside its image; refuse what has no area there."""
        if (
            not isinstance(bbox, list)
            or len(bbox) != 4
            or not all(_is_number(value) and math.isfinite(value) for value in bbox)
        ):
            raise AnnotationError(f"{where}: bbox {bbox!r} is not [x, y, width, height]")
        x, y, width, height = (float(value) for value in bbox)
        if min(width, height) < _THINNEST:
            raise AnnotationError(f"{where}: bbox {bbox} has no area")
        left, top = max(x, 0.0), max(y, 0.0)
        right, bottom = min(x + width, float(size[0])), min(y + height, float(size[1]))
        if min(right - left, bottom - top) < _THINNEST:
            raise AnnotationError(
                f"{where}: bbox {bbox} lies outside its image of {size[0]} x {size[1]}"
            )
        if max(left - x, top - y, x + width - right, y + height - bottom) > _ROUNDING:
            self.clipped.append(where.removeprefix(f"{self.source}: "))
        return left, top, right, bottom


def _unknown(entry: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in known}


def _leaves_folder(name: str) -> bool:
    """Tell whether a file name is more than a way down from the image folder, on any system."""
    drive = PureWindowsPath(name).drive
    return bool(drive) or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts


def _optional_text(value: Any) -> str | None:
    return None if value is None else str(value)


def _is_int(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
