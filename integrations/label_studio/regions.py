"""The rectangles in an annotation's or prediction's `result` list."""

import hashlib
import itertools
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sparsedet.annotations import XYXY
from sparsedet.reviews import ReviewedRegion

from .geometry import GeometryError, from_percent
from .label_config import LabelConfig
from .suspicion_notes import note_texts

logger = logging.getLogger(__name__)

Result = Mapping[str, Any]
"""An entry of a `result` list, as the server holds it."""

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
"""Kinds of results that mark a place; the others (choices, text, ratings, relations) do not."""

UNSURE_NOTE = "unsure"
"""The note (`meta` of a region in the editor) that leaves a box undecided."""

_PERCENT_DECIMALS = 4
_MOST_BITS = 1000
"""Of a whole number that fits a float."""


@dataclass(frozen=True, slots=True)
class Region:
    """A labelled box of a task."""

    id: str
    """As stored; of imported boxes without one of their own, made of their place: see
    `result_ids`."""
    category_id: int
    xyxy: XYXY
    """XYXY in absolute pixels of the upright image."""
    score: float | None
    """The model's confidence, 0 to 1; None for boxes that people drew."""
    unsure: bool = False
    """Its note says so."""
    predicted: bool = False
    """It comes from a prediction, whether somebody has changed it since or not."""
    content: tuple[Result, ...] = field(default=(), compare=False, repr=False)
    """Its rectangle as stored, then what else is noted on it: results that share its id."""


@dataclass
class Oddities:
    """Counts what could not be read as it is, for one warning about a whole project."""

    dropped: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    unknown_labels: Counter[str] = field(default_factory=Counter)
    """The part of `dropped` whose label the project does not have, by label."""
    first_task: int | None = None

    def drop(self, reason: str, task: int) -> None:
        """Count a result that was left out."""
        self.dropped[reason] += 1
        self._note(task)

    def change(self, reason: str, task: int) -> None:
        """Count a box that was used after a change."""
        self.changed[reason] += 1
        self._note(task)

    def _note(self, task: int) -> None:
        self.first_task = task if self.first_task is None else min(task, self.first_task)

    def warn(self, project: str) -> None:
        """Log one warning if there was anything odd; `project` says where."""
        if self:
            logger.warning("%s: regions not used as they are: %s", project, self)

    def __bool__(self) -> bool:
        return bool(self.dropped or self.changed)

    def __str__(self) -> str:
        parts = [
            f"{word} {counts.total()} ({_listed(counts)})"
            for word, counts in (("dropped", self.dropped), ("changed", self.changed))
            if counts
        ]
        return f"{', '.join(parts)}; the first in task {self.first_task}"


def read_regions(
    results: object,
    config: LabelConfig,
    task: int,
    oddities: Oddities,
    size: tuple[int, int] | None = None,
) -> Iterator[Region]:
    """Yield the boxes of a `result` list; whatever else marks a place is counted in `oddities`.

    Args:
        results: the list as the server holds it, which checks nothing.
        config: the project's labelling config.
        task: the task's id, for the counts.
        oddities: counts what was dropped or changed.
        size: upright (width, height) of the image in pixels, which percentages refer to; None
            takes the region's own `original_width` and `original_height`, which is wrong where the
            image was replaced, or the region pasted from another one.
    """
    if not isinstance(results, Sequence) or isinstance(results, str):
        oddities.drop("no list of results", task)
        return
    ids = result_ids(results, config)
    for index, (result, id) in enumerate(zip(results, ids, strict=True)):
        if not isinstance(result, Mapping):
            oddities.drop("no region", task)
            continue
        if not marks_a_place(result, config):
            continue
        try:
            content = (result, *_sharing(id, index, results, ids))
            region, changes = _read(content, id or "", config, size)
        except _UnknownLabelError as error:
            oddities.unknown_labels[error.label] += 1
            oddities.drop(f"unknown label {error.label!r}", task)
            continue
        except GeometryError as error:
            oddities.drop(str(error), task)
            continue
        except OverflowError:
            oddities.drop("a number of hundreds of digits", task)
            continue
        for change in changes:
            oddities.change(change, task)
        yield region


def result_ids(results: Sequence[Any], config: LabelConfig) -> list[str | None]:
    """Return the id of each result; None for what has none and is no rectangle of the control.

    A rectangle without id, or with that of an earlier rectangle (from a script that gives all the
    same), gets one made of its place, and of a running number where several lie in exactly the same
    place, so that it is known by the same id whenever it is read.
    """
    ids = [stored_id(result) for result in results]
    stored = set(ids)
    taken: set[str | None] = set()
    for index, result in enumerate(results):
        if is_rectangle(result, config):
            if ids[index] is None or ids[index] in taken:
                made = _made_ids(result, ids[index])
                ids[index] = next(id for id in made if id not in stored | taken)
            taken.add(ids[index])
    return ids


def stored_id(result: object) -> str | None:
    """Return the id that a result has on the server; None: it has none."""
    id = result.get("id") if isinstance(result, Mapping) else None
    return None if id is None or id == "" else str(id)


def is_rectangle(result: object, config: LabelConfig) -> bool:
    """Whether a result is a rectangle of the control, readable or not."""
    return (
        isinstance(result, Mapping)
        and str(result.get("type", "")).lower() == "rectanglelabels"
        and result.get("from_name") == config.control
    )


def marks_a_place(result: Result, config: LabelConfig) -> bool:
    """Whether a result is a box, polygon or the like, not something said of one or of the image."""
    kind = str(result.get("type", "")).lower()
    return kind.startswith(_SHAPES) or result.get("from_name") == config.control


def reviewed_region(region: Region, config: LabelConfig) -> ReviewedRegion:
    """Return a region as the port names it."""
    label = config.labels[region.category_id - 1]
    return ReviewedRegion(region.id, label.value, region.xyxy, region.unsure, region.content)


def is_complete(results: object, config: LabelConfig) -> bool:
    """Whether an annotation carries a mark that every object of the image has a box."""
    if not config.marks or not isinstance(results, Sequence):
        return False
    texts = {mark.control: mark.texts for mark in config.marks}
    return any(
        not texts[str(result["from_name"])].isdisjoint(map(str, chosen))
        for result in results
        if isinstance(result, Mapping) and str(result.get("from_name")) in texts
        for chosen in [_value(result).get("choices")]
        if isinstance(chosen, Sequence) and not isinstance(chosen, str)
    )


class _UnknownLabelError(Exception):
    """The project has no such label."""

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self.label = label


def _sharing(
    id: str | None, index: int, results: Sequence[Any], ids: Sequence[str | None]
) -> Iterator[Result]:
    for at, (result, other) in enumerate(zip(results, ids, strict=True)):
        if other == id and at != index and id is not None and isinstance(result, Mapping):
            yield result


def _read(
    content: tuple[Result, ...], id: str, config: LabelConfig, size: tuple[int, int] | None
) -> tuple[Region, list[str]]:
    """Return the region of a rectangle and what was changed to make it one."""
    result = content[0]
    kind = str(result.get("type", "")).lower()
    if kind != "rectanglelabels":
        raise GeometryError(kind.removesuffix("labels") or "no type")
    if result.get("from_name") != config.control:
        raise GeometryError("of another control")
    if result.get("to_name") != config.image:
        raise GeometryError("on another object")
    value = _value(result)
    labels = value.get("rectanglelabels")
    if not isinstance(labels, Sequence) or isinstance(labels, str) or not labels:
        raise GeometryError("no label")
    if len(labels) > 1:
        raise GeometryError("several labels")
    label = str(labels[0])
    if config.texts.get(label) == "":
        raise GeometryError(f"label {label!r} left out by [labels] rename")
    if label not in config.category_ids:
        raise _UnknownLabelError(label)
    width, height = size or _own_size(result)
    rectangle = from_percent(value, width, height)
    changes = [
        change
        for change, applies in (
            ("clipped at the image's edge", rectangle.clipped),
            ("rotated, now the upright box around it", rectangle.rotated),
        )
        if applies
    ]
    score = result.get("score")
    confidence = float(score) if isinstance(score, int | float) else None
    origin = str(result.get("origin", ""))
    region = Region(
        id=id,
        category_id=config.category_ids[label],
        xyxy=rectangle.xyxy,
        score=confidence,
        unsure=_is_unsure(result),
        predicted=confidence is not None or origin.startswith("prediction"),
        content=content,
    )
    return region, changes


def _is_unsure(result: Result) -> bool:
    """Whether the note says `unsure`."""
    return any(
        isinstance(text, str) and text.strip().casefold() == UNSURE_NOTE
        for text in note_texts(result)
    )


def _made_ids(result: Result, stored: str | None) -> Iterator[str]:
    """Yield the ids that may be made of a rectangle's place, best first."""
    value = _value(result)
    place = [_rounded(value.get(key)) for key in PLACE]
    for number in itertools.count(1):
        text = "|".join([*([] if stored is None else [stored]), *place, str(number)])
        yield "at" + hashlib.sha256(text.encode()).hexdigest()[:18]


def _rounded(value: object) -> str:
    if isinstance(value, float) or (isinstance(value, int) and value.bit_length() < _MOST_BITS):
        return f"{value:.{_PERCENT_DECIMALS}f}"
    return "0.0000" if value is None else str(value)


def _own_size(result: Mapping[str, Any]) -> tuple[int, int]:
    width, height = result.get("original_width"), result.get("original_height")
    if not (isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0):
        raise GeometryError("no image size")
    return width, height


def _value(result: Mapping[str, Any]) -> Mapping[str, Any]:
    value = result.get("value")
    return value if isinstance(value, Mapping) else {}


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
