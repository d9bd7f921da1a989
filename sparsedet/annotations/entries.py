"""Entries of a COCO file, one by one: required content, and error messages."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, TypeGuard, TypeVar
from urllib.parse import urlsplit

from sparsedet.annotations.model import XYXY, Box, Category, Image
from sparsedet.errors import AnnotationError

DECIMALS = 4
"""Decimals of written coordinates: 1e-4 pixel, without float noise in files."""

THINNEST = 0.6 * 10**-DECIMALS
"""Pixels; rounding on writing would leave nothing of a thinner box."""
ROUNDING = 2 * 10**-DECIMALS
"""Pixels; a box may extend this far beyond the image without a warning, due to rounding."""

IMAGE_KEYS = {
    "id",
    "file_name",
    "width",
    "height",
    "exhaustive",
    "complete_classes",
    "tool_id",
    "tool_version",
}
"""The keys of an image's entry that sparsedet reads; the rest is kept unchanged."""
_BOX_KEYS = {"id", "image_id", "category_id", "bbox", "iscrowd", "area", "origin", "tool_id"}
_CATEGORY_KEYS = {"id", "name"}

Item = TypeVar("Item", Image, Box, Category)


def xywh(xyxy: XYXY) -> list[float]:
    """Return `[x, y, width, height]` of an XYXY box, rounded to `DECIMALS`."""
    left, top, right, bottom = xyxy
    return [round(value, DECIMALS) for value in (left, top, right - left, bottom - top)]


def image_entry(image: Image) -> dict[str, Any]:
    """Return an image as COCO entry."""
    entry: dict[str, Any] = {
        "id": image.id,
        "file_name": image.file_name,
        "width": image.width,
        "height": image.height,
        **image.extra,
    }
    if image.exhaustive:
        entry["exhaustive"] = True
    if image.complete_classes:
        entry["complete_classes"] = sorted(image.complete_classes)
    if image.tool_id is not None:
        entry["tool_id"] = image.tool_id
    if image.tool_version is not None:
        entry["tool_version"] = image.tool_version
    return entry


def complete_classes(where: str, entry: Mapping[str, Any]) -> frozenset[int]:
    """Return the complete classes of an image's entry."""
    ids = entry.get("complete_classes") or []
    if not isinstance(ids, list) or not all(map(is_int, ids)):
        raise AnnotationError(f"{where}: complete_classes is not a list of category ids")
    return frozenset(ids)


def url_name(entry: Mapping[str, Any]) -> str | None:
    """Return the file name in an image's `coco_url`, with its folder, as in `val2017/1.jpg`.

    LVIS images have no `file_name`, and are in two folders of COCO.
    """
    url = entry.get("coco_url")
    try:
        parts = urlsplit(url).path.split("/") if isinstance(url, str) else []
    except ValueError:  # brackets without an IPv6 address
        return None
    return "/".join(part for part in parts[-2:] if part) or None


def name_of_entry(entry: Mapping[str, Any]) -> Any:
    """Return the file name of an image's entry, which need not be valid."""
    return entry["file_name"] if "file_name" in entry else url_name(entry)


def box_entry(box: Box) -> dict[str, Any]:
    """Return a box as COCO entry."""
    entry: dict[str, Any] = {
        "id": box.id,
        "image_id": box.image_id,
        "category_id": box.category_id,
        "bbox": xywh(box.xyxy),
        "area": round(_area(box), DECIMALS),
        "iscrowd": int(box.iscrowd),
        **box.extra,
    }
    if box.origin is not None:
        entry["origin"] = box.origin
    if box.tool_id is not None:
        entry["tool_id"] = box.tool_id
    return entry


def box_of_entry(entry: Mapping[str, Any], xyxy: XYXY, iscrowd: bool) -> Box:
    """Return the box of a validated entry."""
    area = entry.get("area")
    return Box(
        id=entry["id"],
        image_id=entry["image_id"],
        category_id=entry["category_id"],
        xyxy=xyxy,
        iscrowd=iscrowd,
        area=None if area is None else float(area),
        origin=_optional_text(entry.get("origin")),
        tool_id=_optional_text(entry.get("tool_id")),
        extra=_unknown(entry, _BOX_KEYS),
    )


def is_empty(entry: Mapping[str, Any]) -> bool:
    """Return whether an entry declares an area of 0, and its bbox has none either.

    COCO's train2017 has two of those. Elsewhere a bbox without area is an error.
    """
    bbox = entry["bbox"]
    return entry.get("area") == 0 and min(bbox[2:]) == 0


def may_leave_folder(names: Sequence[str]) -> bool:
    """Return whether a file name needs a closer look, which takes two path objects."""
    text = "\n".join(["", *names, ""])
    signs = ("\\", "\0", ":", "..", "\n/", "\n\n")
    return not is_text(text) or any(sign in text for sign in signs)


class EntryReader:
    """Reads the entries of one file, with context for error messages."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.sizes: Mapping[int, tuple[int, int]] = {}
        """Width and height of images by id; must be set before boxes are read."""
        self.category_ids: set[int] = set()
        self.clipped: list[str] = []
        """Key and id of boxes that extended beyond their image."""
        self.empty: list[str] = []
        """Key and id of annotations left out for their declared area of 0."""

    def read_all(
        self,
        entries: Any,
        key: str,
        read: Callable[[str, Mapping[str, Any]], Item | None],
    ) -> tuple[Item, ...]:
        """Read the list under `key`, refusing entries without integer id and duplicate ids."""
        if not isinstance(entries, list):
            raise AnnotationError(f"{self.source}: {key} is not a list")
        items: dict[int, Item | None] = {}
        for index, entry in enumerate(entries):
            if not isinstance(entry, dict) or not is_int(entry.get("id")):
                raise AnnotationError(
                    f"{self.source}: {key}[{index}] has no integer id (of 64 bits at most)"
                )
            where = f"{self.source}: {key} id {entry['id']}"
            if entry["id"] in items:
                raise AnnotationError(f"{where}: duplicate id")
            items[entry["id"]] = read(where, entry)
        return tuple(item for item in items.values() if item is not None)

    def image(self, where: str, entry: Mapping[str, Any]) -> Image:
        """Return the image of an entry."""
        name = name_of_entry(entry)
        if not is_text(name) or not name or "\0" in name:
            raise AnnotationError(f"{where}: file_name {name!r} is not a file name")
        name = name.replace("\\", "/")
        if leaves_folder(name):
            raise AnnotationError(f"{where}: file_name {name!r} leaves the image folder")
        for key in ("width", "height"):
            if not is_int(entry.get(key)) or entry[key] <= 0:
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
            extra=_unknown(entry, IMAGE_KEYS),
            complete_classes=complete_classes(where, entry),
        )

    def category(self, where: str, entry: Mapping[str, Any]) -> Category:
        """Return the category of an entry."""
        if not is_text(entry.get("name")) or not entry["name"]:
            raise AnnotationError(f"{where}: no name")
        return Category(entry["id"], entry["name"], _unknown(entry, _CATEGORY_KEYS))

    def check_names(self, images: Iterable[Image], categories: Iterable[Category]) -> None:
        """Refuse duplicate file names and category names."""
        files: dict[str, int] = {}
        for image in images:
            if (first := files.setdefault(image.file_name, image.id)) != image.id:
                raise AnnotationError(
                    f"{self.source}: images id {image.id}: duplicate file_name "
                    f"{image.file_name!r}, also of image id {first}"
                )
        names: dict[str, int] = {}
        for category in categories:
            if (first := names.setdefault(category.name, category.id)) != category.id:
                raise AnnotationError(
                    f"{self.source}: categories id {category.id}: duplicate name "
                    f"{category.name!r}, also of category id {first}"
                )

    def check_complete_classes(self, images: Iterable[Image]) -> None:
        """Refuse marks of unknown classes."""
        for image in images:
            if unknown := image.complete_classes - self.category_ids:
                raise AnnotationError(
                    f"{self.source}: images id {image.id}: complete_classes has {min(unknown)}, "
                    "which is not among the categories"
                )

    def box(self, where: str, entry: Mapping[str, Any]) -> Box | None:
        """Return the box of an entry; None if it is empty."""
        image_id, category_id = entry.get("image_id"), entry.get("category_id")
        if not is_int(image_id) or image_id not in self.sizes:
            raise AnnotationError(f"{where}: image_id {image_id!r} is not among the images")
        if not is_int(category_id) or category_id not in self.category_ids:
            raise AnnotationError(
                f"{where}: category_id {category_id!r} is not among the categories"
            )
        iscrowd = entry.get("iscrowd", 0)
        if iscrowd not in (0, 1):
            raise AnnotationError(f"{where}: iscrowd is {iscrowd!r}, expected 0 or 1")
        area = entry.get("area")
        if area is not None and not (is_finite(area) and area >= 0):
            raise AnnotationError(f"{where}: area {area!r} is not a number of square pixels")
        bbox = _numbers(where, entry.get("bbox"))
        if is_empty(entry):
            self.empty.append(self._within(where))
            return None
        xyxy, is_clipped = _clip(where, bbox, self.sizes[image_id])
        if is_clipped:
            self.clipped.append(self._within(where))
        return box_of_entry(entry, xyxy, iscrowd == 1)

    def _within(self, where: str) -> str:
        return where.removeprefix(f"{self.source}: ")


def _numbers(where: str, bbox: Any) -> Sequence[float]:
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(is_finite, bbox)):
        raise AnnotationError(f"{where}: bbox {bbox!r} is not [x, y, width, height]")
    return bbox


def _clip(where: str, bbox: Sequence[float], size: tuple[int, int]) -> tuple[XYXY, bool]:
    """Return the XYXY box of a COCO bbox, clipped to its image, and whether it was clipped.

    Raises:
        AnnotationError: when the box is entirely outside.
    """
    x, y, width, height = (float(value) for value in bbox)
    if min(width, height) < THINNEST:
        raise AnnotationError(f"{where}: bbox {bbox} has no area")
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + width, float(size[0])), min(y + height, float(size[1]))
    if min(right - left, bottom - top) < THINNEST:
        raise AnnotationError(
            f"{where}: bbox {bbox} lies outside its image of {size[0]} x {size[1]}"
        )
    over = max(left - x, top - y, x + width - right, y + height - bottom)
    return (left, top, right, bottom), over > ROUNDING


def _area(box: Box) -> float:
    return box.width * box.height if box.area is None else box.area


def _unknown(entry: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in known}


def leaves_folder(name: str) -> bool:
    """Whether a file name, with forward slashes, leaves the image folder on any system."""
    drive = PureWindowsPath(name).drive
    return bool(drive) or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts


def _optional_text(value: Any) -> str | None:
    return None if value is None else str(value)


def is_text(value: Any) -> TypeGuard[str]:
    """Whether a value is text that can be written; lone surrogates can't."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def is_int(value: Any) -> TypeGuard[int]:
    """Whether a value is a 64-bit integer."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def is_finite(value: Any) -> bool:
    """Whether a value is a 64-bit number."""
    # Python's integers are unbounded; nothing else accepts them beyond 64 bits.
    return is_int(value) or (isinstance(value, float) and math.isfinite(value))
