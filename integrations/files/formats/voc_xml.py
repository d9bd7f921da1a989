"""A Pascal VOC xml file: read, written, and edited with all other bytes unchanged.

VOC counts pixels from 1, and its boxes include the pixels at both ends: according to the
development kit, the top left pixel of an image has the coordinates (1, 1). `xmin=1, xmax=W` is the
whole width, so a box here is XYXY = (xmin - 1, ymin - 1, xmax, ymax). detectron2 reads VOC in the
same way; torchvision returns the raw numbers.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from xml.parsers import expat

from sparsedet.annotations import XYXY
from sparsedet.annotations.entries import DECIMALS
from sparsedet.annotations.faults import BOX_WITHOUT_AREA, FaultyEntryError
from sparsedet.errors import AnnotationError, ToolError
from sparsedet.reading import read_bytes
from sparsedet.reviews import moved

from .xml_encoding import as_utf8, codec_of, is_undeclared
from .xml_values import Structure, add_keys, is_text, read_keys, writable_keys

VocObject = tuple[str, XYXY]
"""Class name and XYXY box in absolute pixels."""

CORNERS = ("xmin", "ymin", "xmax", "ymax")
DEFAULTS = {"pose": "Unspecified", "truncated": 0, "difficult": 0}
"""VOC's own keys of an object, which its evaluators need."""

_OFFSETS = (1, 1, 0, 0)
_OBJECT: Structure = {"name": {}, "bndbox": {corner: {} for corner in CORNERS}}
_OBJECT_RESERVED = frozenset(
    {"id", "image_id", "category_id", "bbox", "area", "iscrowd", "origin", "tool_id"}
    | {"segmentation", "keypoints", "num_keypoints"}
)

_IMAGE: Structure = {
    "filename": {},
    "size": {"width": {}, "height": {}, "depth": {}},
    "object": None,
}

_IMAGE_RESERVED = frozenset(
    {"id", "file_name", "width", "height", "depth", "exhaustive", "complete_classes"}
    | {"tool_id", "tool_version"}
)

_USUAL_DEPTH = 3
_SPACE = b" \t\r\n"


def parse_xml(data: bytes, path: Path, tag: str = "annotation") -> ET.Element:
    """Return the root element of an xml file.

    Args:
        data: the content of the file.
        path: path for errors.
        tag: expected tag of the root.

    Raises:
        AnnotationError: if it has another root, or declares entities or a document type.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    try:
        # Of a decoded file, the declared encoding no longer holds.
        encoding = None if codec_of(data) is None else "utf-8"
        parser = DefusedXMLParser(target=ET.TreeBuilder(), encoding=encoding, forbid_dtd=True)
        parser.feed(as_utf8(data))
        root: ET.Element = parser.close()
    except ET.ParseError as error:
        line, column = error.position
        if is_undeclared(data):
            raise AnnotationError(
                f"{path}: not UTF-8 text at line {line}, and declares no other encoding; save it "
                'as UTF-8, or begin it with the right one, as in <?xml version="1.0" '
                'encoding="gbk"?>'
            ) from error
        raise AnnotationError(
            f"{path}: not valid XML at line {line}, column {column + 1}; is the file complete?"
        ) from error
    except DefusedXmlException as error:
        raise AnnotationError(
            f"{path}: declares a document type or entities, which are not allowed; remove them"
        ) from error
    except (LookupError, ValueError) as error:
        raise AnnotationError(f"{path}: can't be decoded ({error})") from error
    if root.tag != tag:
        raise AnnotationError(f"{path}: the root is <{root.tag}>, expected <{tag}>")
    return root


def read_size(root: ET.Element, path: Path) -> tuple[int, int] | None:
    """Return the (width, height) in a file; None if missing or zero."""
    texts = [(root.findtext(f"size/{key}") or "").strip() for key in ("width", "height")]
    if not any(text.strip("0") for text in texts):
        return None
    try:
        width, height = (int(float(text)) for text in texts)
    except (ValueError, OverflowError):
        width = height = 0
    if width <= 0 or height <= 0:
        raise AnnotationError(f"{path}: <size> is {' x '.join(texts)}, expected pixels")
    return width, height


def read_image_keys(root: ET.Element) -> dict[str, Any]:
    """Return other keys of the image in a file, without name, size and objects."""
    depth = (root.findtext("size/depth") or "").strip()
    keys = read_keys(root, structure=_IMAGE, reserved=_IMAGE_RESERVED)
    return keys | ({"depth": int(depth)} if depth.isdecimal() and len(depth) < 3 else {})


def read_object(element: ET.Element, where: str) -> tuple[str, XYXY, dict[str, Any]]:
    """Return class name, XYXY box in absolute pixels and other keys of an object.

    Raises:
        AnnotationError: if it has no name, or no box of four numbers.
    """
    name = (element.findtext("name") or "").strip()
    if not name:
        raise AnnotationError(f"{where}: no <name>")
    box = element.find("bndbox")
    if box is None:
        raise AnnotationError(f"{where} ({name}): no <bndbox>")
    corners = []
    for corner, offset in zip(CORNERS, _OFFSETS, strict=True):
        text = (box.findtext(corner) or "").strip()
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise AnnotationError(f"{where} ({name}): {corner} is {text!r}, expected a number")
        corners.append(value - offset)
    left, top, right, bottom = corners
    if right <= left or bottom <= top:
        raise FaultyEntryError(
            BOX_WITHOUT_AREA,
            f"{where} ({name}): the box has no area ({_shown(box)}; min must be less than max)",
        )
    keys = read_keys(element, structure=_OBJECT, reserved=_OBJECT_RESERVED)
    return name, (left, top, right, bottom), keys


def object_element(name: str, xyxy: XYXY, keys: Mapping[str, Any]) -> ET.Element:
    """Return an `<object>` of an XYXY box in pixels; keys that VOC can't store are left out.

    Raises:
        AnnotationError: if the class name can't be written in XML.
    """
    if not is_text(name):
        raise AnnotationError(f"class name {name!r} can't be written in XML; rename the class")
    element = ET.Element("object")
    others = {**DEFAULTS, **_writable_object_keys(keys)}
    add_keys(element, {"name": name, **{key: others.pop(key) for key in DEFAULTS}})
    box = ET.SubElement(element, "bndbox")
    for corner, text in _corner_texts(xyxy).items():
        ET.SubElement(box, corner).text = text
    add_keys(element, others, _OBJECT)
    return element


def image_element(
    file_name: str, size: tuple[int, int], keys: Mapping[str, Any], folder: str
) -> ET.Element:
    """Return an `<annotation>` without objects; keys that VOC can't store are left out.

    Args:
        file_name: relative to the image folder.
        size: upright (width, height).
        keys: keys of the image.
        folder: the image folder's name, if `keys` has none.
    """
    if not is_text(file_name):
        raise AnnotationError(f"file name {file_name!r} can't be written in XML; rename the file")
    root = ET.Element("annotation")
    others = {"folder": folder, **_writable_image_keys(keys)}
    depth = keys.get("depth")
    depth = depth if holds_image_key("depth", depth) else _USUAL_DEPTH
    width, height = size
    structured = {key: others.pop(key) for key in _IMAGE if key in others}
    first = {"folder": others.pop("folder"), "filename": file_name.rsplit("/", 1)[-1]}
    add_keys(root, first | others)
    add_keys(root, {"size": {"width": width, "height": height, "depth": depth}})
    add_keys(root, structured, _IMAGE)
    return root


def edit_xml(
    path: Path,
    known: Sequence[VocObject],
    *,
    removed: Collection[int],
    edited: Mapping[int, VocObject],
    added: Sequence[VocObject],
) -> bytes:
    """Return the content of a file with some objects changed.

    Args:
        path: the file.
        known: its objects as read.
        removed: indices of objects in the file.
        edited: index -> the changed object. A box that moved by at most `MOVED_PIXELS` keeps its
            numbers.
        added: new objects, appended at the end.

    Raises:
        ToolError: if the file has changed since it was read, or its encoding can't be edited.
    """
    stored = read_bytes(path, "XML file")
    parse_xml(stored, path)  # refuses entities, which the next parser would expand
    data, codec = as_utf8(stored), codec_of(stored)
    if codec is not None and data.decode().encode(codec) != stored:
        raise ToolError(f"{path}: can't be edited in its encoding; save it as UTF-8")
    spans = _Spans(data, None if codec is None else "utf-8")
    if len(spans.objects) != len(known):
        raise ToolError(f"{path}: changed while it was being merged; run the command again")
    cuts: list[tuple[int, int, bytes]] = []
    for place in removed:
        start, end = spans.objects[place]
        cuts.append((len(data[:start].rstrip(_SPACE)), end, b""))
    for place, (name, xyxy) in edited.items():
        before_name, before = known[place]
        parts = spans.parts[place]
        if name != before_name:
            cuts.append((*parts["name"], _element("name", name)))
        if moved(xyxy, before):
            for corner, text in _corner_texts(xyxy).items():
                cuts.append((*parts[corner], _element(corner, text)))
    if added:
        end = len(data[: spans.end].rstrip(_SPACE))
        cuts.append((end, end, _indented(added, data, spans)))
    for start, end, new in sorted(cuts, reverse=True):
        data = data[:start] + new + data[end:]
    data = data if codec is None else data.decode().encode(codec)
    expected = len(known) - len(removed) + len(added)
    if len(parse_xml(data, path).findall("object")) != expected:
        raise ToolError(f"{path}: can't be edited in its encoding; save it as UTF-8")
    return data


def holds_object_key(key: str, value: Any) -> bool:
    """Whether VOC can store a key of a box."""
    return bool(_writable_object_keys({key: value}))


def holds_image_key(key: str, value: Any) -> bool:
    """Whether VOC can store a key of an image."""
    if key == "depth":
        return isinstance(value, int) and value >= 0
    return bool(_writable_image_keys({key: value}))


class _Spans:
    """Byte positions of a file's elements."""

    def __init__(self, data: bytes, encoding: str | None) -> None:
        self.objects: list[tuple[int, int]] = []
        self.parts: list[dict[str, tuple[int, int]]] = []
        """For each object: its first `name` and first four corners."""
        self.end = 0
        """Start of the root's end tag."""
        self._data = data
        self._open: list[tuple[str, int]] = []
        self._parser = expat.ParserCreate(encoding)
        self._parser.StartElementHandler = self._begin
        self._parser.EndElementHandler = self._close
        self._parser.Parse(data, True)

    def _begin(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._open.append((tag, self._parser.CurrentByteIndex))
        if self._tags() == ["annotation", "object"]:
            self.parts.append({})

    def _close(self, tag: str) -> None:
        path = self._tags()
        _, start = self._open.pop()
        here = self._parser.CurrentByteIndex
        span = start, self._data.find(b">", here) + 1
        if len(path) == 1:
            self.end = here
        elif path[:2] == ["annotation", "object"]:
            if len(path) == 2:
                self.objects.append(span)
            elif path[2:] == ["name"] or (len(path) == 4 and path[2] == "bndbox"):
                self.parts[-1].setdefault(path[-1], span)

    def _tags(self) -> list[str]:
        return [tag for tag, _ in self._open]


def _indented(added: Sequence[VocObject], data: bytes, spans: _Spans) -> bytes:
    """Return new objects as text, indented like the others."""
    start = spans.objects[0][0] if spans.objects else 0
    line = data[data.rfind(b"\n", 0, start) + 1 : start]
    space = line.decode("ascii") if start and not line.strip() else "\t"
    text = ""
    for name, xyxy in added:
        element = object_element(name, xyxy, {})
        ET.indent(element, space or "\t", level=1)
        text += f"\n{space}" + ET.tostring(element, encoding="us-ascii").decode("ascii").rstrip()
    return text.replace("\n", "\r\n" if b"\r\n" in data else "\n").encode("ascii")


def _element(tag: str, text: str) -> bytes:
    element = ET.Element(tag)
    element.text = text
    # ASCII with character references is valid in any usual encoding.
    content: bytes = ET.tostring(element, encoding="us-ascii")
    return content


def _corner_texts(xyxy: XYXY) -> dict[str, str]:
    """Return the content of a `<bndbox>`: integers if possible, else up to 4 decimals."""
    pairs = zip(CORNERS, xyxy, _OFFSETS, strict=True)
    values = {corner: round(value + offset, DECIMALS) for corner, value, offset in pairs}
    return {corner: _number(value) for corner, value in values.items()}


def _writable_object_keys(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a box that VOC can store, by their names there."""
    return writable_keys(keys, structure=_OBJECT, reserved=_OBJECT_RESERVED)


def _writable_image_keys(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of an image that VOC can store, by their names there, without `depth`."""
    return writable_keys(keys, structure=_IMAGE, reserved=_IMAGE_RESERVED)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.{DECIMALS}f}".rstrip("0")


def _shown(box: ET.Element) -> str:
    return ", ".join(f"{corner} {(box.findtext(corner) or '').strip()}" for corner in CORNERS)
