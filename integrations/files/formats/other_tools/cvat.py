"""CVAT's own XML, "CVAT for images 1.1": `annotations.xml`, and the images in `images/`."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree as ET

from sparsedet.annotations.faults import IMAGE_BROKEN, Faults
from sparsedet.annotations.image_names import IMAGE_SUFFIXES
from sparsedet.errors import AnnotationError
from sparsedet.reading import read_bytes

from ..conversion import LabelledBox
from ..voc_xml import parse_xml
from .file_kinds import head_of
from .read_format import ReadFormat
from .records import Entry, Record, Records, Size
from .shapes import Point, ellipse, hull, no_box, number, outlined, turned

_ROOT = re.compile(rb"<annotations[\s>]")
_USUAL = "annotations.xml"
_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_CUBOID = ("xtl1", "ytl1", "xtr1", "ytr1", "xbl1", "ybl1", "xbr1", "ybr1")
_CUBOID_BACK = ("xtl2", "ytl2", "xtr2", "ytr2", "xbl2", "ybl2", "xbr2", "ybr2")
_WITHOUT_BOX = {"polyline": "line", "points": "set of points", "tag": "tag", "skeleton": "skeleton"}


class CvatFormat(ReadFormat):
    """CVAT's XML of images.

    Polygons, ellipses, masks, cuboids and rotated boxes become their upright bounding boxes; video
    tracks are refused. Attributes become the key `attributes` of a box.
    """

    title = "CVAT XML"
    layout = "an annotations.xml of CVAT for images 1.1, and images/"
    lists_classes = True

    def detect(self, path: Path) -> bool:
        """Whether this is an xml file with `<annotations>`, or a folder with one."""
        return bool(_files(path))

    def records(self, path: Path, images: Path | None, faults: Faults) -> Records:
        """Read the xml file; `subset` of an image is its split."""
        files = _files(path)
        if not files:
            raise AnnotationError(f"{path}: not CVAT XML ({self.layout})")
        if len(files) > 1:
            names = ", ".join(file.name for file in files)
            raise AnnotationError(f"{path}: several CVAT files ({names}); pass one of them")
        file = files[0]
        try:
            return _read(file, faults)
        except RecursionError as error:
            raise AnnotationError(f"{file}: not CVAT's XML (nested too deep)") from error


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.lower() == ".xml" and _is_cvat(path) else []
    if not path.is_dir():
        return []
    found = [
        file
        for file in sorted(path.iterdir())
        if file.suffix.lower() == ".xml" and file.is_file() and _is_cvat(file)
    ]
    return [file for file in found if file.name == _USUAL] or found


def _is_cvat(file: Path) -> bool:
    return _ROOT.search(head_of(file).replace(b"\0", b"")) is not None  # it may be UTF-16


def _read(file: Path, faults: Faults) -> Records:
    root = parse_xml(read_bytes(file, "XML file"), file, "annotations")
    if root.find("track") is not None:
        raise AnnotationError(
            f"{file}: contains video tracks (<track>), but sparsedet reads images; export it from "
            "CVAT as 'CVAT for images 1.1', or as COCO"
        )
    records = []
    for place, element in enumerate(root.iterfind("image"), start=1):
        where = f"{file}: image {element.get('id', place)} ({element.get('name', 'without name')})"
        with faults.left_out(IMAGE_BROKEN, where):
            records.append(_image(element, where))
    names = [name.text or "" for name in root.iterfind("meta//labels/label/name")]
    return Records(file, records, [name.strip() for name in names if name.strip()])


def _image(element: ET.Element, where: str) -> Record:
    name, subset = (element.get("name") or "").replace("\\", "/"), element.get("subset") or ""
    if not name:
        raise AnnotationError(f"{where}: has no name")
    size = [number(element.get(key), key, where) for key in ("width", "height")]
    if min(size) < 1:
        raise AnnotationError(f"{where}: is {size[0]:g} x {size[1]:g} pixels")
    # Projects are exported with an image folder per subset.
    names = [f"{subset}/{name}", name] if subset else [name]
    shapes = [child for child in element if child.tag != "attribute"]
    entries = []
    for place, shape in enumerate(shapes, start=1):
        at = f"{where}: {shape.tag} {place}"
        entries.append(Entry(at, partial(_shape, shape, at)))
    # Frames of a video have no suffix here: `frame_000001`.
    frame = None if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES else name
    whole = int(size[0]), int(size[1])
    return Record(where, names, entries, whole, stem=frame, near=subset, split=subset)


def _shape(shape: ET.Element, where: str, size: Size) -> LabelledBox:
    """Return the box of a shape; the size is unused."""
    label, extra = (shape.get("label") or "").strip(), _keys(shape)
    rotation = number(shape.get("rotation", "0"), "rotation", where)
    if shape.tag == "box":
        left, top, right, bottom = _numbers(shape, _CORNERS, where)
        middle = ((left + right) / 2, (top + bottom) / 2)
        corners = turned((left, top, right, bottom), rotation, middle)
        if rotation % 360:
            return outlined(label, corners, extra | {"rotation": rotation}, where)
        return LabelledBox(label, (left, top, right, bottom), extra=extra)
    if shape.tag == "polygon":
        return outlined(label, _points(shape, where), extra, where)
    if shape.tag == "ellipse":
        x, y, across, down = _numbers(shape, ("cx", "cy", "rx", "ry"), where)
        return LabelledBox(label, ellipse((x, y), (across, down), rotation), extra=extra)
    if shape.tag == "mask":
        left, top, width, height = _numbers(shape, ("left", "top", "width", "height"), where)
        return LabelledBox(label, (left, top, left + width, top + height), extra=extra)
    if shape.tag == "cuboid":
        values = _numbers(shape, (*_CUBOID, *_CUBOID_BACK), where)
        return LabelledBox(label, hull(zip(values[::2], values[1::2], strict=True)), extra=extra)
    raise no_box(_WITHOUT_BOX.get(shape.tag, f"<{shape.tag}>"), where)


def _numbers(shape: ET.Element, keys: Sequence[str], where: str) -> list[float]:
    return [number(shape.get(key), key, where) for key in keys]


def _points(shape: ET.Element, where: str) -> list[Point]:
    pairs = [pair.split(",") for pair in (shape.get("points") or "").split(";") if pair.strip()]
    if any(len(pair) != 2 for pair in pairs):
        raise AnnotationError(f"{where}: points are not x,y;x,y;...")
    return [(number(x, "x", where), number(y, "y", where)) for x, y in pairs]


def _keys(shape: ET.Element) -> dict[str, Any]:
    """Return other keys of a shape."""
    attributes = {
        child.get("name") or "": (child.text or "").strip() for child in shape.iterfind("attribute")
    }
    keys: dict[str, Any] = {"attributes": attributes} if attributes else {}
    if shape.get("occluded") == "1":
        keys["occluded"] = True
    if group := shape.get("group_id"):
        keys["group_id"] = group
    return keys
