"""Changing objects in a VOC xml file, and not a byte beside them."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET
from xml.parsers import expat

from sparsedet.annotations import XYXY
from sparsedet.errors import ToolError
from sparsedet.tool import MOVED_PIXELS

from .voc_xml import corner_texts, object_element, parse_xml

VocObject = tuple[str, XYXY]
"""Class name and box."""

_SPACE = b" \t\r\n"


def edit_xml(
    path: Path,
    known: Sequence[VocObject],
    *,
    removed: Collection[int],
    edited: Mapping[int, VocObject],
    added: Sequence[VocObject],
) -> bytes:
    """Return the content of a file with some of its objects changed.

    Args:
        path: the file.
        known: its objects as they were read.
        removed: places of objects in the file, from 0 on.
        edited: place -> the object as it should be. A box that moved by no more than
            `MOVED_PIXELS` keeps its numbers.
        added: new objects, which go to the end.

    Raises:
        ToolError: when the file is not as it was read, or has an encoding that can't be edited.
    """
    data = path.read_bytes()
    parse_xml(data, path)  # refuses entities, which the next parser would expand
    spans = _Spans(data)
    if len(spans.objects) != len(known):
        raise ToolError(f"{path}: changed while it was being merged; call it again")
    cuts: list[tuple[int, int, bytes]] = []
    for place in removed:
        start, end = spans.objects[place]
        cuts.append((len(data[:start].rstrip(_SPACE)), end, b""))
    for place, (name, xyxy) in edited.items():
        before_name, before = known[place]
        parts = spans.parts[place]
        if name != before_name:
            cuts.append((*parts["name"], _element("name", name)))
        if max(abs(a - b) for a, b in zip(xyxy, before, strict=True)) > MOVED_PIXELS:
            for corner, text in corner_texts(xyxy).items():
                cuts.append((*parts[corner], _element(corner, text)))
    if added:
        end = len(data[: spans.end].rstrip(_SPACE))
        cuts.append((end, end, _indented(added, data, spans)))
    for start, end, new in sorted(cuts, reverse=True):
        data = data[:start] + new + data[end:]
    expected = len(known) - len(removed) + len(added)
    if len(parse_xml(data, path).findall("object")) != expected:
        raise ToolError(f"{path}: can't be edited in its encoding; save it as UTF-8")
    return data


class _Spans:
    """Where the elements of a file begin and end, in bytes."""

    def __init__(self, data: bytes) -> None:
        self.objects: list[tuple[int, int]] = []
        self.parts: list[dict[str, tuple[int, int]]] = []
        """Of each object: its `name` and the four corners, the first of each."""
        self.end = 0
        """Where the end tag of the root begins."""
        self._data = data
        self._open: list[tuple[str, int]] = []
        self._parser = expat.ParserCreate()
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
    """Return new objects as text, indented as the others are."""
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
    # ASCII with character references fits into a file of any usual encoding.
    content: bytes = ET.tostring(element, encoding="us-ascii")
    return content
