"""JSON of the VGG Image Annotator (VIA 1 and 2): annotations only, or a whole project."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sparsedet.annotations.faults import IMAGE_BROKEN, Faults
from sparsedet.errors import AnnotationError, SparseDetError
from sparsedet.reading import quoted, read_json

from ..conversion import LabelledBox
from ..once import warn_once
from .file_kinds import candidate_names, has_json, split_of
from .json_records import json_records
from .precedence import has_better
from .read_format import ReadFormat
from .records import Entry, Record, Records, Size
from .shapes import ellipse, no_box, number, outlined

_PROJECT = "_via_img_metadata"
_CLASS = ("class", "classname", "label", "category", "object", "type", "name")
"""Usual names of the attribute with the class, in lower case, the likeliest first."""
_ONE_CLASS = "object"
"""The class of regions without attributes."""
_WITHOUT_BOX = {"point": "point", "polyline": "line"}


class ViaFormat(ReadFormat):
    """VIA: one file, or one per split.

    The class is in the attribute of this name (`class`, `label`, `type`, ...), or in the only one.
    Polygons, circles and ellipses become their upright bounding boxes.
    """

    title = "VIA"
    layout = "a .json file of the VGG Image Annotator (VIA 2), and its images"
    needs_images = True

    def detect(self, path: Path) -> bool:
        """Whether this is a VIA file, or a folder with some and no other annotations."""
        return has_json(path, "via") and not (path.is_dir() and has_better(path, but="via"))

    def records(self, path: Path, images: Path | None, faults: Faults) -> Records:
        """Read the files; the split comes from a file's folder or name."""
        found = json_records(path, "via", f"a VIA file ({self.layout})", faults, _file)
        several = len(found.files) > 1
        return Records(found.root / "labels.json" if several else found.files[0], found.records)


def _file(root: Path, file: Path, faults: Faults) -> list[Record]:
    try:
        content = read_json(file)
    except SparseDetError as error:
        raise AnnotationError(str(error)) from error
    if isinstance(content, Mapping) and _PROJECT in content:
        content = content[_PROJECT]
    if not isinstance(content, Mapping):
        raise AnnotationError(f"{file}: has no images of VIA")
    attribute = _class_attribute(file, list(content.values()))
    folder, split = file.parent.relative_to(root).as_posix(), split_of(file, root)
    records = []
    for key, entry in content.items():
        where = f"{file}: image {quoted(key)}"
        with faults.left_out(IMAGE_BROKEN, where):
            name = entry.get("filename") if isinstance(entry, Mapping) else None
            if not isinstance(name, str) or not name.strip("/\\. ") or "\0" in name:
                raise AnnotationError(
                    f"{where}: its filename is {quoted(name)}, expected a file name"
                )
            entries = [
                Entry(at, partial(_box, region, attribute, at))
                for place, region in enumerate(_regions(entry, where), start=1)
                for at in [f"{where}: region {place}"]
            ]
            names = candidate_names(folder, name.strip().replace("\\", "/"))
            records.append(Record(where, names, entries, split=split))
    return records


def _regions(entry: Mapping[str, Any], where: str) -> Sequence[Any]:
    """Return the regions of an image: a list, or in VIA 1 an object with their numbers."""
    regions = entry.get("regions")
    if isinstance(regions, Mapping):
        return list(regions.values())
    if not isinstance(regions, list):
        raise AnnotationError(f"{where}: has no list of regions")
    return regions


def _class_attribute(file: Path, entries: Sequence[Any]) -> str | None:
    """Return the attribute with the class; None if no region has any.

    Raises:
        AnnotationError: if it is unclear which one that is.
    """
    counts = Counter(key for attributes in _attributes(entries) for key in attributes)
    if not counts:
        warn_once(f"{file}: its regions have no attributes; all are of the class {_ONE_CLASS}")
        return None
    plain = {"".join(filter(str.isalnum, key.lower())): key for key in counts}
    usual = next((plain[name] for name in _CLASS if name in plain), None)
    if usual is not None or len(counts) == 1:
        return usual or next(iter(counts))
    raise AnnotationError(
        f"{file}: which attribute of its regions is the class ({', '.join(sorted(counts))})? "
        "Rename it to `class` in VIA"
    )


def _attributes(entries: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
    for entry in entries:
        regions = entry.get("regions") if isinstance(entry, Mapping) else None
        own = list(regions.values()) if isinstance(regions, Mapping) else regions
        for region in own if isinstance(own, list) else ():
            attributes = region.get("region_attributes") if isinstance(region, Mapping) else None
            if isinstance(attributes, Mapping):
                yield attributes


def _box(region: object, attribute: str | None, where: str, size: Size) -> LabelledBox:
    """Return the box of a region; the size is unused."""
    shape = region.get("shape_attributes") if isinstance(region, Mapping) else None
    if not isinstance(region, Mapping) or not isinstance(shape, Mapping):
        raise AnnotationError(f"{where}: has no shape_attributes")
    label = _label(region.get("region_attributes"), attribute, where)
    kind = shape.get("name")
    if kind == "rect":
        x, y, width, height = (
            number(shape.get(key), key, where) for key in ("x", "y", "width", "height")
        )
        return LabelledBox(label, (x, y, x + width, y + height))
    if kind == "polygon":
        xs, ys = (_list(shape.get(key), key, where) for key in ("all_points_x", "all_points_y"))
        if len(xs) != len(ys):
            raise AnnotationError(f"{where}: has {len(xs)} x and {len(ys)} y")
        return outlined(label, list(zip(xs, ys, strict=True)), {}, where)
    if kind in ("circle", "ellipse"):
        radii = ("r", "r") if kind == "circle" else ("rx", "ry")
        x, y, across, down = (number(shape.get(key), key, where) for key in ("cx", "cy", *radii))
        # In radians, clockwise.
        turn = number(shape.get("theta", 0), "theta", where)
        return LabelledBox(label, ellipse((x, y), (across, down), math.degrees(turn)))
    raise no_box(_WITHOUT_BOX.get(str(kind), quoted(kind)), where)


def _label(attributes: object, attribute: str | None, where: str) -> str:
    """Return the class: text, or of check boxes the one that is ticked."""
    if attribute is None:
        return _ONE_CLASS
    value = attributes.get(attribute) if isinstance(attributes, Mapping) else None
    if isinstance(value, Mapping):
        ticked = [key for key, is_on in value.items() if is_on]
        value = ticked[0] if len(ticked) == 1 else None
    if not isinstance(value, str | int) or isinstance(value, bool) or not str(value).strip():
        raise AnnotationError(f"{where}: its {attribute} is {quoted(value)}, expected a class")
    return str(value).strip()


def _list(values: object, what: str, where: str) -> list[float]:
    if not isinstance(values, list):
        raise AnnotationError(f"{where}: {what} is {quoted(values)}, expected a list")
    return [number(value, what, where) for value in values]
