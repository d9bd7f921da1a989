"""Kinds of entries of a `result` list: boxes, other shapes, and results about them."""

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .labelling_config.label_config import LabelConfig
from .shapes import BOXABLE

Result = Mapping[str, Any]
"""An entry of a `result` list, as sent by the server."""

PLACE = ("x", "y", "width", "height", "rotation")
"""Keys of a result's `value`, in percent and degrees."""

_SHAPES = (
    "rectangle",
    "polygon",
    "ellipse",
    "brush",
    "keypoint",
    "vector",
    "bitmask",
    "magicwand",
)
"""Kinds of results with a shape; others (choices, text, ratings, relations) have none."""

_PERCENT_DECIMALS = 4
_MOST_BITS = 1000
"""Maximum bits of an integer that fits into a float."""


def result_ids(results: Sequence[Any], config: LabelConfig) -> list[str | None]:
    """Return the id of each result; None without one, or for another image of the task.

    A box without an id, or with that of an earlier box (from a script that reuses an id), gets one
    derived from its coordinates, plus a counter for boxes with identical coordinates, so that it
    always has the same id.
    """
    ids = [stored_id(result) for result in results]
    stored = set(ids)
    taken: set[str | None] = set()
    for index, result in enumerate(results):
        if is_elsewhere(result, config):
            ids[index] = None
        elif is_rectangle(result, config) or is_boxed_shape(result, config):
            if ids[index] is None or ids[index] in taken:
                made = _made_ids(result, ids[index])
                ids[index] = next(id for id in made if id not in stored | taken)
            taken.add(ids[index])
    return ids


def stored_id(result: object) -> str | None:
    """Return the id of a result on the server, or None."""
    id = result.get("id") if isinstance(result, Mapping) else None
    return None if id is None or id == "" else str(id)


def kind_of(result: Result) -> str:
    """Return the type of a result, such as `rectanglelabels`; empty without one."""
    return str(result.get("type", "")).lower()


def value_of(result: Result) -> Mapping[str, Any]:
    """Return the `value` of a result, empty without one."""
    value = result.get("value")
    return value if isinstance(value, Mapping) else {}


def is_rectangle(result: object, config: LabelConfig) -> bool:
    """Whether a result is a rectangle of the control on this image of its task, readable or not.

    If a Rectangle draws and a separate control labels, it is the drawn one.
    """
    return (
        isinstance(result, Mapping)
        and kind_of(result) == ("rectangle" if config.drawer else "rectanglelabels")
        and result.get("from_name") == (config.drawer or config.control)
        and not is_elsewhere(result, config)
    )


def is_label_of_drawn(result: object, config: LabelConfig) -> bool:
    """Whether a result is the label of a box drawn by a separate control."""
    return (
        isinstance(result, Mapping)
        and bool(config.drawer)
        and kind_of(result) == "labels"
        and result.get("from_name") == config.control
    )


def is_boxed_shape(result: object, config: LabelConfig) -> bool:
    """Whether a result is another shape that counts as its box."""
    return (
        config.shapes
        and isinstance(result, Mapping)
        and kind_of(result).removesuffix("labels") in BOXABLE
        and result.get("to_name") == config.image
    )


def is_elsewhere(result: object, config: LabelConfig) -> bool:
    """Whether a result is about another image of its task."""
    if not config.has_several or not isinstance(result, Mapping):
        return False
    if result.get("to_name") not in (None, config.image):
        return True
    if config.item is None:
        return False
    item = result.get("item_index")
    if item is None:
        # From when the task had one image; a choice, for example, is about all of them.
        return config.item != 0 and kind_of(result).startswith(_SHAPES)
    return str(item) != str(config.item)


def marks_a_place(result: Result, config: LabelConfig) -> bool:
    """Whether a result is a shape, and not a result about a shape or the whole image."""
    if is_label_of_drawn(result, config):
        return False
    return kind_of(result).startswith(_SHAPES) or result.get("from_name") == config.control


def _made_ids(result: Result, stored: str | None) -> Iterator[str]:
    """Yield candidate ids derived from a box's coordinates, best first."""
    value = value_of(result)
    place = [_rounded(value.get(key)) for key in PLACE]
    for number in itertools.count(1):
        text = "|".join([*([] if stored is None else [stored]), *place, str(number)])
        yield "at" + hashlib.sha256(text.encode()).hexdigest()[:18]


def _rounded(value: object) -> str:
    if isinstance(value, float) or (isinstance(value, int) and value.bit_length() < _MOST_BITS):
        return f"{value:.{_PERCENT_DECIMALS}f}"
    return "0.0000" if value is None else str(value)
