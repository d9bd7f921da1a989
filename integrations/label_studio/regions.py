"""The rectangles in an annotation's or prediction's `result` list."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sparsedet.annotations import XYXY
from sparsedet.tool import ReviewedRegion

from .geometry import GeometryError, from_percent
from .label_config import LabelConfig

logger = logging.getLogger(__name__)

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


@dataclass(frozen=True, slots=True)
class Region:
    """A labelled box of a task."""

    id: str | None
    """None in some imported annotations."""
    category_id: int
    xyxy: XYXY
    """XYXY in absolute pixels of the upright image."""
    score: float | None
    """The model's confidence, 0 to 1; None for boxes that people drew."""
    unsure: bool = False
    """Its note says so."""
    predicted: bool = False
    """It comes from a prediction, whether somebody has changed it since or not."""


@dataclass
class Oddities:
    """Counts what could not be read as it is, for one warning about a whole project."""

    dropped: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
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
        size: upright (width, height) of the image in pixels; None takes the region's own
            `original_width` and `original_height`.
    """
    if not isinstance(results, Sequence) or isinstance(results, str):
        oddities.drop("no list of results", task)
        return
    seen: set[str] = set()
    for result in results:
        if not isinstance(result, Mapping):
            oddities.drop("no region", task)
            continue
        if not _marks_a_place(result, config):
            continue
        try:
            region, changes = _read(result, config, size)
            if region.id is not None and region.id in seen:
                raise GeometryError("region id used twice")
        except GeometryError as error:
            oddities.drop(str(error), task)
            continue
        for change in changes:
            oddities.change(change, task)
        if region.id is not None:
            seen.add(region.id)
        yield region


def reviewed_region(region: Region, config: LabelConfig) -> ReviewedRegion:
    """Return a region as the port names it."""
    label = config.labels[region.category_id - 1]
    return ReviewedRegion(region.id or "", label.value, region.xyxy, region.unsure)


def is_complete(results: object, config: LabelConfig) -> bool:
    """Whether an annotation carries the mark that every object of the image has a box."""
    mark = config.complete
    if mark is None or not isinstance(results, Sequence):
        return False
    return any(
        mark.choice in choices
        for result in results
        if isinstance(result, Mapping) and result.get("from_name") == mark.control
        for choices in [_value(result).get("choices")]
        if isinstance(choices, Sequence)
    )


def newest(annotations: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the annotation that was saved last, skipped ones left out; None without any.

    Where several people annotated a task, the last word counts: their boxes are not merged,
    because the same object drawn twice would become two.
    """
    submitted = [a for a in annotations if not a.get("was_cancelled")]
    return max(
        submitted,
        key=lambda a: (a.get("updated_at") or a.get("created_at") or "", a["id"]),
        default=None,
    )


def annotation_version(annotation: Mapping[str, Any]) -> str:
    """Return a name for the state of an annotation, which every save changes."""
    return f"{annotation['id']}@{annotation.get('updated_at') or annotation.get('created_at')}"


def _marks_a_place(result: Mapping[str, Any], config: LabelConfig) -> bool:
    kind = str(result.get("type", "")).lower()
    return kind.startswith(_SHAPES) or result.get("from_name") == config.control


def _read(
    result: Mapping[str, Any], config: LabelConfig, size: tuple[int, int] | None
) -> tuple[Region, list[str]]:
    """Return the region of a result and what was changed to make it one."""
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
    if not isinstance(labels[0], str) or labels[0] not in config.category_ids:
        raise GeometryError("unknown label")
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
    id, score = result.get("id"), result.get("score")
    confidence = float(score) if isinstance(score, int | float) else None
    origin = str(result.get("origin", ""))
    region = Region(
        id=None if id is None else str(id),
        category_id=config.category_ids[labels[0]],
        xyxy=rectangle.xyxy,
        score=confidence,
        unsure=_is_unsure(result),
        predicted=confidence is not None or origin.startswith("prediction"),
    )
    return region, changes


def _is_unsure(result: Mapping[str, Any]) -> bool:
    """Whether the note says `unsure`; the editor keeps it as a list of one text."""
    meta = result.get("meta")
    note = meta.get("text") if isinstance(meta, Mapping) else None
    texts = note if isinstance(note, Sequence) and not isinstance(note, str) else [note]
    return any(isinstance(t, str) and t.strip().casefold() == UNSURE_NOTE for t in texts)


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
