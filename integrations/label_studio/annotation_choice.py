"""Choice of the annotations of a task that count, and their boxes; shared by pull and merge.

Several people may have annotated a task. `AnnotationRule` decides whose boxes are read; boxes of
others stay on the server.
"""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sparsedet.reviews import AnnotationRule, ReviewedRegion, choose, combine

from .class_marks import complete_in_all
from .labelling_config.label_config import LabelConfig
from .regions import Oddities, is_complete, read_regions, reviewed_region
from .results import Result, is_boxed_shape, kind_of

logger = logging.getLogger(__name__)

TASK_CREATED_AT = "task_created_at"
"""Key added to annotations on reading: the creation time of their task."""

_IMPORT_SECONDS = 10.0
"""In one import, annotations are created about a second after their tasks per thousand tasks."""


@dataclass(frozen=True, slots=True)
class TaskBoxes:
    """The annotations of a task, as read by a pull."""

    annotations: tuple[Mapping[str, Any], ...]
    """Annotations that count, oldest first; boxes of several are combined."""
    boxes: tuple[ReviewedRegion, ...]
    complete: bool
    """The image is marked as complete, in all annotations that count."""
    complete_classes: frozenset[str] = frozenset()
    """Labels marked as complete, in all annotations that count."""

    @property
    def version(self) -> str | None:
        """`Image.tool_version`: a text that every save changes; None without annotations."""
        return "+".join(annotation_version(a) for a in self.annotations) or None


def submitted(annotations: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the annotations that were not skipped, ordered by time of last save."""
    return sorted(
        (a for a in annotations if not a.get("was_cancelled")),
        key=lambda a: (saved_at(a), int(a["id"])),
    )


def with_task_date(
    annotations: Iterable[Mapping[str, Any]] | None, task: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """Return a task's annotations with the task's date, which shows which ones were imported."""
    return [{**a, TASK_CREATED_AT: task.get("created_at")} for a in annotations or ()]


def saved_at(annotation: Mapping[str, Any]) -> str:
    """Return when an annotation was last saved, as sent by the server: ISO 8601 in UTC."""
    return str(annotation.get("updated_at") or annotation.get("created_at") or "")


def that_count(
    annotations: Iterable[Mapping[str, Any]],
    rule: AnnotationRule,
    config: LabelConfig | None = None,
) -> list[Mapping[str, Any]]:
    """Return the annotations of a task that count by a rule; several must be combined.

    Args:
        annotations: all of the task.
        rule: which of them count.
        config: decides whether other shapes count as boxes; None: they don't.
    """
    known = submitted(annotations)
    stars = starred(known)
    chosen: list[Mapping[str, Any]] = choose(
        [(a, int(a["id"]) in stars, _has_boxes(a, config)) for a in known], rule
    )
    return chosen


def read_task(
    annotations: Iterable[Mapping[str, Any]],
    config: LabelConfig,
    rule: AnnotationRule,
    task: int,
    oddities: Oddities,
    size: tuple[int, int] | None = None,
) -> TaskBoxes:
    """Read a task's annotations.

    A model's box that somebody marked as unsure is left out and counted in `oddities`.

    Args:
        annotations: all of the task.
        config: the project's labelling config.
        rule: which annotations count.
        task: the task's id, for the counts.
        oddities: counts what was dropped or changed.
        size: upright (width, height) of the image in pixels; see `read_regions`.
    """
    chosen = that_count(annotations, rule, config)
    people: list[list[ReviewedRegion]] = []
    for annotation in chosen:
        boxes: list[ReviewedRegion] = []
        for region in read_regions(annotation.get("result") or [], config, task, oddities, size):
            if region.unsure and region.predicted:
                oddities.drop("marked unsure", task)
            else:
                boxes.append(reviewed_region(region, config))
        people.append(boxes)
    boxes_of_all = people[0] if len(people) == 1 else combine(people, rule)
    complete = bool(chosen) and all(is_complete(a.get("result"), config) for a in chosen)
    classes = complete_in_all(chosen, config)
    return TaskBoxes(tuple(chosen), tuple(boxes_of_all), complete, classes)


def annotation_version(annotation: Mapping[str, Any]) -> str:
    """Return a name for the state of an annotation that changes with every save.

    It is `id@time`, or `id@time@seconds` with the time that people spent on the annotation: Submit
    and Update in the editor add to that time, a star does not.
    """
    version = f"{annotation['id']}@{saved_at(annotation)}"
    seconds = annotation.get("lead_time")
    return version if seconds is None else f"{version}@{seconds}"


@dataclass
class Alternatives:
    """Counts tasks that several people annotated, for one warning per project."""

    rule: AnnotationRule
    tasks: int = 0
    taken: Counter[Literal["starred", "newest", "combined"]] = field(default_factory=Counter)

    def add(self, annotations: Sequence[Mapping[str, Any]], read: TaskBoxes) -> None:
        """Count a task, and which annotations were used if it has several."""
        self.tasks += 1
        known = submitted(annotations)
        if len(known) < 2:
            return
        if len(read.annotations) > 1:
            self.taken["combined"] += 1
        elif self.rule != "newest" and int(read.annotations[0]["id"]) in starred(known):
            self.taken["starred"] += 1
        else:
            self.taken["newest"] += 1

    def warn(self, project: str) -> None:
        """Log one warning if there are any; `project` names the project."""
        if self.taken:
            counts = ", ".join(f"{count} {kind}" for kind, count in sorted(self.taken.items()))
            logger.warning(
                "%s: %d of %d tasks have several annotations; used by [source] annotations = "
                '"%s": %s',
                project,
                self.taken.total(),
                self.tasks,
                self.rule,
                counts,
            )


def starred(annotations: Sequence[Mapping[str, Any]]) -> set[int]:
    """Return the ids of annotations that somebody starred.

    The server stars every imported annotation unless the import says otherwise. Such a star means
    nothing, unless the import left others unstarred.
    """
    unsaved = [a for a in annotations if a.get("updated_by") is None]
    by_default = all(a.get("ground_truth") for a in unsaved)
    return {
        int(a["id"])
        for a in annotations
        if a.get("ground_truth") and not (by_default and _has_star_of_import(a))
    }


def _has_star_of_import(annotation: Mapping[str, Any]) -> bool:
    """Whether a star is only known to come from an import.

    The server records neither what was imported (`import_id` is the id in the file, if it has one)
    nor who starred. But an annotation without `updated_by` was never saved by anybody else; only an
    import creates an annotation along with its task; the editor has no star button and adds time
    (`lead_time`) with every save, while a star from the API leaves that empty; and an undone merge
    leaves `last_action` "imported" if the star came from an import.
    """
    if annotation.get("updated_by") is None or annotation.get("last_action") == "imported":
        return True
    return annotation.get("lead_time") is not None and came_with_task(annotation)


def came_with_task(annotation: Mapping[str, Any]) -> bool:
    """Whether an annotation (with its task's date) was created with its task, by an import."""
    task, own = annotation.get(TASK_CREATED_AT), annotation.get("created_at")
    if not task or not own:
        return False
    later = datetime.fromisoformat(own) - datetime.fromisoformat(task)
    return later.total_seconds() < _IMPORT_SECONDS


def _has_boxes(annotation: Mapping[str, Any], config: LabelConfig | None) -> bool:
    return any(
        kind_of(result) in ("rectanglelabels", "rectangle")
        or (config is not None and is_boxed_shape(result, config))
        for result in results_of(annotation)
        if isinstance(result, Mapping)
    )


def digests(annotations: Iterable[Mapping[str, Any]]) -> dict[int, str]:
    """Return a digest of each submitted annotation by id; see `digest`."""
    return {int(a["id"]): digest(results_of(a)) for a in submitted(annotations)}


def results_of(annotation: Mapping[str, Any]) -> list[Result]:
    """Return the results of an annotation, which the server does not validate."""
    results = annotation.get("result")
    return list(results) if isinstance(results, Sequence) and not isinstance(results, str) else []


def digest(results: Sequence[Result]) -> str:
    """Return a digest of results: equal for equal JSON."""
    text = json.dumps(results, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
