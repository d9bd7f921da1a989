"""Plans of merges: the change to make to a task, based on its current state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sparsedet.reviews import AnnotationRule, Changes, SourceState
from sparsedet.tool import Plan

from .annotation_choice import TaskBoxes, read_task, results_of, saved_at, starred, submitted
from .annotation_patch import combined, own_size, patched, without_shapes
from .annotators import Annotation, Annotators
from .class_marks import class_control
from .drafts.draft_tasks import unsaved
from .geometry import GeometryError
from .labelling_config.label_config import LabelConfig
from .projects import saved_by
from .regions import Oddities
from .results import Result
from .task_images import TaskImage


@dataclass(frozen=True, slots=True)
class Planned:
    """State of an annotated task, and the change to make."""

    read: TaskBoxes
    state: SourceState
    change: Changes
    results: Sequence[Result] | None
    """Change to write; None for nothing."""

    stars: set[int] = field(default_factory=set)
    """Ids of the annotations that somebody starred."""

    @property
    def annotation(self) -> Annotation | None:
        """The annotation to write to; None to create one."""
        return self.read.annotations[0] if len(self.read.annotations) == 1 else None

    @property
    def star(self) -> bool | None:
        """Whether to star the annotation; None to keep its star as it is."""
        if (before := self.annotation) is None:
            return len(self.read.annotations) > 1
        return False if before.get("ground_truth") and before["id"] not in self.stars else None


@dataclass(frozen=True)
class Planner:
    """Plans the merges into an annotated project."""

    config: LabelConfig
    """The project's config, for a task's first image."""
    rule: AnnotationRule
    """Which of a task's annotations count."""
    annotators: Annotators
    sizes: Mapping[str, tuple[int, int]]
    """Tool id -> upright (width, height) in pixels."""
    names: Mapping[int, str]
    """Names of accounts; see `account_names`."""

    def planned(
        self, tool_id: str, annotations: Sequence[Annotation], drafts: Sequence[Any], plan: Plan
    ) -> Planned:
        """Plan the change of an image from the state of its task.

        Args:
            tool_id: tool id of the image.
            annotations: all annotations of its task.
            drafts: everybody's unsaved changes there.
            plan: the wanted change.
        """
        size, image = self.sizes.get(tool_id), TaskImage.parse(tool_id)
        config = self.config.of_image(image.number)
        annotations = self.annotators.chosen(annotations)
        read = read_task(annotations, config, self.rule, image.task, Oddities(), size)
        state = SourceState(
            tool_id=tool_id,
            boxes={box.region_id: box for box in read.boxes},
            complete=read.complete,
            version=read.version,
            saved=last_save(read.annotations[-1], self.names) if read.annotations else "",
            labels=frozenset(config.stored_labels),
            blocked=(
                unsaved(read.annotations, drafts)
                or _uncombinable(read, config)
                or self._left_behind(read)
            ),
            complete_classes=read.complete_classes,
        )
        change = without_shapes(plan(state), state.boxes, config)
        change = _without_lost_marks(change, config)
        if not change or change.conflicts or state.blocked:
            return Planned(read, state, change, None)
        people = [results_of(annotation) for annotation in read.annotations]
        before = people[0] if len(people) == 1 else combined(people, read.boxes, config)
        try:
            size = size or own_size(state, change)
            results = patched(before, change, state.boxes, config, size)
        except GeometryError as error:
            return Planned(read, replace(state, blocked=str(error)), change, None)
        return Planned(read, state, change, results, starred(submitted(annotations)))

    def _left_behind(self, read: TaskBoxes) -> str:
        """Return why a merge would hide the annotation from the next pull, or ""."""
        if len(read.annotations) != 1:
            return ""  # a merge creates one, which counts
        (annotation,) = read.annotations
        if self.annotators.counts_when_merged(annotation):
            return ""
        person = saved_by(annotation, self.names)
        ours = saved_by({"updated_by": self.annotators.account}, self.names)
        return (
            f"it is selected only because {person} saved it last, which a merge would change; add "
            f"your account, {ours}, to [source] annotators"
        )


def _without_lost_marks(change: Changes, config: LabelConfig) -> Changes:
    """Return a change without marks for which the project has no control or choice."""
    if change.marks_complete and config.complete is None:
        change = replace(change, marks_complete=False)
    if change.completed_classes:
        control = class_control(config)
        known = control.choices.keys() if control else frozenset[str]()
        change = replace(change, completed_classes=change.completed_classes & known)
    return change


def last_save(annotation: Annotation, names: Mapping[int, str]) -> str:
    """Return who last saved an annotation, and when.

    Args:
        annotation: as sent by the server.
        names: names of accounts; see `account_names`.
    """
    who = saved_by(annotation, names) or "an unknown account"
    if not (saved := saved_at(annotation)):
        return f"saved by {who}"
    when = datetime.fromisoformat(saved).astimezone(UTC)
    return f"saved by {who} on {when:%Y-%m-%d at %H:%M} UTC"


def _uncombinable(read: TaskBoxes, config: LabelConfig) -> str:
    """Return why the boxes of several annotations can't be combined, or ""."""
    if len(read.annotations) < 2 or not config.has_several:
        return ""
    return (
        "its boxes come from several annotations, which a merge can't combine if a task has "
        "several images; star the annotation that counts"
    )
