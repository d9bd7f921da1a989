"""The rectangles in an annotation's or prediction's `result` list."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sparsedet.annotations import XYXY
from sparsedet.reviews import ReviewedRegion

from .geometry import GeometryError, from_percent
from .labelling_config.label_config import LabelConfig
from .results import (
    Result,
    is_boxed_shape,
    is_elsewhere,
    is_label_of_drawn,
    is_rectangle,
    kind_of,
    marks_a_place,
    result_ids,
    value_of,
)
from .shapes import BOXABLE, shape_box
from .suspicion_notes import note_texts

logger = logging.getLogger(__name__)

UNSURE_NOTE = "unsure"
"""The note (`meta` of a region in the editor) that keeps a box pending."""


SHAPES_HINT = '[source] shapes = "boxes" reads polygons, ellipses and brushes as their boxes'


@dataclass(frozen=True, slots=True)
class Region:
    """A labelled box of a task."""

    id: str
    """As stored; for imported boxes without an id, derived from their coordinates: see
    `result_ids`."""
    category_id: int
    xyxy: XYXY
    """XYXY in absolute pixels of the upright image."""
    score: float | None
    """The model's confidence, 0 to 1; None for boxes that people drew."""
    unsure: bool = False
    """Whether its note says `unsure`."""
    predicted: bool = False
    """Whether it comes from a prediction, even if somebody has changed it since."""
    content: tuple[Result, ...] = field(default=(), compare=False, repr=False)
    """Its rectangle (or other shape) as stored, then other results that share its id."""


@dataclass
class Oddities:
    """Counts regions that could not be read as they are, for one warning per project."""

    dropped: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    unknown_labels: Counter[str] = field(default_factory=Counter)
    """The part of `dropped` with unknown labels, by label."""
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
        """Log one warning if anything was counted; `project` names the project."""
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
        hint = f"; {SHAPES_HINT}" if self.dropped.keys() & set(BOXABLE) else ""
        return f"{', '.join(parts)}; the first in task {self.first_task}{hint}"


def read_regions(
    results: object,
    config: LabelConfig,
    task: int,
    oddities: Oddities,
    size: tuple[int, int] | None = None,
) -> Iterator[Region]:
    """Yield the boxes of a `result` list; other shapes are counted in `oddities`.

    Args:
        results: the list from the server, which does not validate it.
        config: the project's labelling config.
        task: the task's id, for the counts.
        oddities: counts what was dropped or changed.
        size: upright (width, height) of the image in pixels, which percentages refer to; None uses
            the region's own `original_width` and `original_height`, which are wrong if the image
            was replaced or the region pasted from another one.
    """
    if not isinstance(results, Sequence) or isinstance(results, str):
        oddities.drop("no list of results", task)
        return
    ids = result_ids(results, config)
    drawn = {
        id
        for result, id in zip(results, ids, strict=True)
        if isinstance(result, Mapping) and marks_a_place(result, config)
    }
    shared = {id for id, count in Counter(ids).items() if count > 1} - {None}
    for index, (result, id) in enumerate(zip(results, ids, strict=True)):
        if not isinstance(result, Mapping):
            oddities.drop("no region", task)
            continue
        if is_elsewhere(result, config):
            continue
        if is_label_of_drawn(result, config) and id not in drawn:
            oddities.drop("a label without its rectangle", task)
        if not marks_a_place(result, config):
            continue
        try:
            others = _sharing(id, index, results, ids) if id in shared else ()
            content = (result, *others)
            region, changes = _read(content, id or "", config, size)
        except _UnknownLabelError as error:
            oddities.unknown_labels[error.label] += 1
            oddities.drop(f"unknown label {error.label!r}", task)
            continue
        except _LeftOutError:
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


def reviewed_region(region: Region, config: LabelConfig) -> ReviewedRegion:
    """Convert a region to the port's type."""
    label = config.labels[region.category_id - 1]
    return ReviewedRegion(region.id, label.value, region.xyxy, region.unsure, region.content)


def is_complete(results: object, config: LabelConfig) -> bool:
    """Whether an annotation marks the image as complete."""
    if not config.marks or not isinstance(results, Sequence):
        return False
    texts = {mark.control: mark.texts for mark in config.marks}
    return any(
        not texts[str(result["from_name"])].isdisjoint(map(str, chosen))
        for result in results
        if isinstance(result, Mapping) and str(result.get("from_name")) in texts
        if config.item is None or result.get("item_index") in (None, config.item)
        for chosen in [value_of(result).get("choices")]
        if isinstance(chosen, Sequence) and not isinstance(chosen, str)
    )


class _UnknownLabelError(Exception):
    """The project has no such label."""

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self.label = label


class _LeftOutError(Exception):
    """The selection of labels leaves it out."""


def _sharing(
    id: str | None, index: int, results: Sequence[Any], ids: Sequence[str | None]
) -> Iterator[Result]:
    for at, (result, other) in enumerate(zip(results, ids, strict=True)):
        if other == id and at != index and isinstance(result, Mapping):
            yield result


def _read(
    content: tuple[Result, ...], id: str, config: LabelConfig, size: tuple[int, int] | None
) -> tuple[Region, list[str]]:
    """Return the region of a box, and the changes made to it."""
    result = content[0]
    kind = kind_of(result).removesuffix("labels")
    is_shape = is_boxed_shape(result, config)
    if not is_shape and kind_of(result) != ("rectangle" if config.drawer else "rectanglelabels"):
        raise GeometryError(kind or "no type")
    if not is_shape and not is_rectangle(result, config):
        raise GeometryError("of another control")
    if result.get("to_name") != config.image:
        raise GeometryError("on another object")
    label = _label(content, kind, config)
    if label in config.left_out:
        raise _LeftOutError
    if config.texts.get(label) == "":
        raise GeometryError(f"label {label!r} left out by [labels] rename")
    if label not in config.category_ids:
        if is_shape:  # of a separate control with separate labels
            raise GeometryError(f"{kind} with a label that boxes do not have, {label!r}")
        raise _UnknownLabelError(label)
    width, height = size or _own_size(result)
    rectangle = (
        shape_box(kind, result, width, height)
        if is_shape
        else from_percent(value_of(result), width, height)
    )
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


def _label(content: tuple[Result, ...], kind: str, config: LabelConfig) -> str:
    """Return the label of a box, which may be in a separate result."""
    labels = value_of(content[0]).get(f"{kind}labels")
    if labels is None:
        of_drawn = (result for result in content if is_label_of_drawn(result, config))
        labels = next((value_of(result).get("labels") for result in of_drawn), None)
    if not isinstance(labels, Sequence) or isinstance(labels, str) or not labels:
        raise GeometryError("no label")
    if len(labels) > 1:
        raise GeometryError("several labels")
    return str(labels[0])


def _is_unsure(result: Result) -> bool:
    """Whether the note says `unsure`."""
    return any(
        isinstance(text, str) and text.strip().casefold() == UNSURE_NOTE
        for text in note_texts(result)
    )


def _own_size(result: Mapping[str, Any]) -> tuple[int, int]:
    width, height = result.get("original_width"), result.get("original_height")
    if not (isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0):
        raise GeometryError("no image size")
    return width, height


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
