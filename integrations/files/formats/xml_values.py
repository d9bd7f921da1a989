"""XML elements as the values of JSON keys, so that COCO files can carry what VOC files hold.

`<pose>Left</pose>` is `"pose": "Left"`, repeated elements are a list, elements with children are an
object, and an attribute is the key `@name` of one. Text that is written like a number is one.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree as ET

_INTEGER = re.compile(r"-?[1-9][0-9]{0,17}|0")
_FLOAT = re.compile(r"-?[0-9]+\.[0-9]+(e[+-]?[0-9]+)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_NOT_XML = re.compile("[^\t\n\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TEXT = "#text"
_PREFIX = "voc_"
"""Before keys whose own name has a meaning in COCO."""


def read_keys(
    element: ET.Element, *, structure: Iterable[str], reserved: Iterable[str]
) -> dict[str, Any]:
    """Return the children of an element as keys.

    Args:
        element: read from a file.
        structure: children to leave out.
        reserved: keys that mean something else in COCO; such children get a prefix.
    """
    values = _children(child for child in element if child.tag not in set(structure))
    taken = set(reserved)
    return {_PREFIX + key if key in taken else key: value for key, value in values.items()}


def add_keys(element: ET.Element, keys: Mapping[str, Any]) -> None:
    """Append keys to an element as children; all of them have to be writable."""
    for key, value in keys.items():
        for item in value if isinstance(value, list) else [value]:
            _fill(ET.SubElement(element, key), item)


def writable_keys(
    keys: Mapping[str, Any], *, structure: Iterable[str], reserved: Iterable[str]
) -> dict[str, Any]:
    """Return the keys that can be written as children of an element, by their names there."""
    names = {key: _element_name(key, frozenset(reserved)) for key in keys}
    return {
        name: keys[key]
        for key, name in names.items()
        if name is not None and name not in structure and _is_writable(keys[key])
    }


def is_text(text: str) -> bool:
    """Whether a text comes out of an XML file as it went in."""
    return text == text.strip() and not _NOT_XML.search(text)


def _element_name(key: str, reserved: frozenset[str]) -> str | None:
    bare = key.removeprefix(_PREFIX)
    name = bare if bare in reserved else key
    return name if key not in reserved and _NAME.fullmatch(name) else None


def _children(elements: Iterable[ET.Element]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    repeated: set[str] = set()
    for element in elements:
        value = _value(element)
        if element.tag not in values:
            values[element.tag] = value
        elif element.tag in repeated:
            values[element.tag].append(value)
        else:
            values[element.tag] = [values[element.tag], value]
            repeated.add(element.tag)
    return values


def _value(element: ET.Element) -> Any:
    text = (element.text or "").strip()
    inner = {f"@{name}": value for name, value in element.attrib.items()} | _children(element)
    if not inner:
        return _scalar(text)
    return inner | ({_TEXT: text} if text else {})


def _scalar(text: str) -> str | int | float:
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and repr(float(text)) == text:
        return float(text)
    return text


def _fill(element: ET.Element, value: Any) -> None:
    if not isinstance(value, Mapping):
        element.text = _text(value)
        return
    for key, item in value.items():
        if key.startswith("@"):
            element.set(key[1:], item)
        elif key == _TEXT:
            element.text = item
        else:
            add_keys(element, {key: item})


def _text(value: Any) -> str:
    # As VOC writes its flags.
    return str(int(value)) if isinstance(value, bool) else str(value)


def _is_writable(value: Any, *, listed: bool = False) -> bool:
    """Whether `_value` makes the same of what `_fill` writes."""
    if isinstance(value, str):
        return is_text(value)
    if isinstance(value, int):
        return bool(_INTEGER.fullmatch(_text(value)))
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return len(value) > 1 and not listed and all(_is_writable(v, listed=True) for v in value)
    return (
        isinstance(value, Mapping)
        and value.keys() != {_TEXT}
        and bool(value)
        and all(_is_writable_inside(key, item) for key, item in value.items())
    )


def _is_writable_inside(key: Any, value: Any) -> bool:
    if not isinstance(key, str):
        return False
    if key == _TEXT or key.startswith("@"):
        named = key == _TEXT or bool(_NAME.fullmatch(key[1:]))
        return named and isinstance(value, str) and bool(value) and is_text(value)
    return bool(_NAME.fullmatch(key)) and _is_writable(value)
