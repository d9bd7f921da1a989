"""XML elements as JSON values, so that COCO files can store the content of VOC files.

`<pose>Left</pose>` is `"pose": "Left"`, repeated elements are a list, elements with children are an
object, and an attribute is the key `@name`. Numeric text becomes a number.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias
from xml.etree import ElementTree as ET

Structure: TypeAlias = Mapping[str, "Structure | None"]
"""Structural children, whose text is not a key, with their own; None if nothing becomes a key."""

_INTEGER = re.compile(r"-?[1-9][0-9]{0,17}|0")
_FLOAT = re.compile(r"-?[0-9]+\.[0-9]+(e[+-]?[0-9]+)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_NOT_XML = re.compile("[^\t\n\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TEXT = "#text"
_PREFIX = "voc_"
"""Prefix of keys whose name has a meaning in COCO."""


def read_keys(
    element: ET.Element, *, structure: Structure, reserved: Iterable[str]
) -> dict[str, Any]:
    """Return the attributes and children of an element as keys.

    Args:
        element: the element.
        structure: children of which only attributes and other children become keys.
        reserved: keys with another meaning in COCO; such children get a prefix.
    """
    values = _other_keys(element, structure)
    taken = set(reserved)
    return {_PREFIX + key if key in taken else key: value for key, value in values.items()}


def add_keys(
    element: ET.Element, keys: Mapping[str, Any], structure: Structure | None = None
) -> None:
    """Add keys to an element as attributes and children; all must be writable.

    Args:
        element: has the structural children named in `keys`.
        keys: attributes and children.
        structure: structural children, which get the content of their key.
    """
    for key, value in keys.items():
        part = element.find(key) if structure and key in structure else None
        if key.startswith("@"):
            element.set(key[1:], value)
        elif structure and part is not None:
            add_keys(part, value, structure[key])
        else:
            for item in value if isinstance(value, list) else [value]:
                _fill(ET.SubElement(element, key), item)


def writable_keys(
    keys: Mapping[str, Any], *, structure: Structure, reserved: Iterable[str]
) -> dict[str, Any]:
    """Return the keys that `add_keys` can add to an element, by their names there."""
    names = {key: _element_name(key, frozenset(reserved)) for key in keys}
    return {
        name: keys[key]
        for key, name in names.items()
        if name is not None and _is_writable_key(name, keys[key], structure)
    }


def is_text(text: str) -> bool:
    """Whether a text survives a round trip through XML."""
    return text == text.strip() and not _NOT_XML.search(text)


def _element_name(key: str, reserved: frozenset[str]) -> str | None:
    bare = key.removeprefix(_PREFIX)
    if key in reserved:
        return None
    return bare if bare in reserved else key


def _other_keys(element: ET.Element, structure: Structure) -> dict[str, Any]:
    """Return the non-structural content of an element."""
    values = _attributes(element)
    values |= _children(child for child in element if child.tag not in structure)
    for tag, inner in structure.items():
        part = element.find(tag) if inner is not None else None
        if part is not None and inner is not None and (inside := _other_keys(part, inner)):
            values[tag] = inside
    return values


def _attributes(element: ET.Element) -> dict[str, Any]:
    return {f"@{name}": value for name, value in element.attrib.items()}


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
    inner = _attributes(element) | _children(element)
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
        if key == _TEXT:
            element.text = item
        else:
            add_keys(element, {key: item})


def _text(value: Any) -> str:
    # As in VOC's flags.
    return str(int(value)) if isinstance(value, bool) else str(value)


def _is_writable(value: Any, *, listed: bool = False) -> bool:
    """Whether a value survives a round trip through `_fill` and `_value`."""
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
    if key == _TEXT:
        return isinstance(value, str) and bool(value) and is_text(value)
    return _is_writable_key(key, value, {})


def _is_writable_key(key: Any, value: Any, structure: Structure) -> bool:
    """Whether a key survives a round trip through `add_keys` and `_other_keys`."""
    if not isinstance(key, str):
        return False
    if key.startswith("@"):
        return bool(_NAME.fullmatch(key[1:])) and isinstance(value, str) and is_text(value)
    if key not in structure:
        return bool(_NAME.fullmatch(key)) and _is_writable(value)
    inner = structure[key]
    return (
        inner is not None
        and isinstance(value, Mapping)
        and bool(value)
        and all(_is_writable_key(k, v, inner) for k, v in value.items())
    )
