"""Plans the changes of a push or undo in a review project, from its current state.

No state is kept between calls: an interrupted push is completed by the next one.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..offers import ImagePredictions
from ..predictions import NewPrediction, StoredPrediction, replace_predictions, same_result, without
from .review_tasks import ReviewTask

BEGUN = "somebody has started its review, but not submitted it"


@dataclass
class ReviewPlan:
    """Changes to make, and what is up for review afterwards."""

    without_task: list[ImagePredictions] = field(default_factory=list)
    """Images that need a new task, in the order of the review."""
    bare: set[str] = field(default_factory=set)
    """Source tasks of those that show no boxes, and get no prediction."""
    new: list[NewPrediction] = field(default_factory=list)
    outdated: list[StoredPrediction] = field(default_factory=list)
    """Predictions to delete after the new ones are created."""
    task_of: dict[int, int] = field(default_factory=dict)
    """Outdated prediction -> its task."""
    empty: list[int] = field(default_factory=list)
    """Tasks to delete: untouched, with nothing left to review."""
    images: int = 0
    boxes: int = 0
    changed: set[str] = field(default_factory=set)
    """Source tasks of the push whose review task changes."""
    noted: list[tuple[ReviewTask, str]] = field(default_factory=list)
    """Tasks that stay up without a prediction, with the model version to record on them."""
    kept: dict[str, str] = field(default_factory=dict)
    """Source task -> why it is left as it is."""
    up: set[str] = field(default_factory=set)
    """Ids of mined boxes that are up afterwards."""
    versions: set[str] = field(default_factory=set)
    """Model versions that have predictions afterwards."""

    def outdate(self, task: ReviewTask, predictions: Iterable[StoredPrediction]) -> None:
        """Delete predictions of a task."""
        for prediction in predictions:
            self.outdated.append(prediction)
            self.task_of[prediction.id] = task.id

    def replace(self, task: ReviewTask, result: Sequence[Mapping[str, Any]], version: str) -> bool:
        """Leave an open task of ours with one prediction of `result`, or none if it is empty.

        Returns:
            Whether that requires a new prediction.
        """
        change = replace_predictions(task.id, task.own_predictions, result, version)
        if change.new is not None:
            self.new.append(change.new)
        if result:
            self.versions.add(version)
        elif not task.annotations:
            self.empty.append(task.id)
        self.outdate(task, change.outdated)
        return change.new is not None

    def show_plain(self, task: ReviewTask, image: ImagePredictions, version: str) -> bool:
        """Make an open task of ours show only the annotations of its image.

        An image without annotations gets no prediction.

        Returns:
            Whether anything changes.
        """
        change = replace_predictions(task.id, task.own_predictions, image.human, version)
        self.outdate(task, change.outdated)
        if change.new is not None:
            self.new.append(change.new)
        if image.human:
            self.versions.add(version)
        elif task.is_untouched and (change.outdated or version not in task.model_versions):
            self.noted.append((task, version))
            return True
        return change.new is not None

    def add(
        self,
        task: ReviewTask,
        result: Sequence[Mapping[str, Any]],
        version: str,
        there: Iterable[StoredPrediction],
    ) -> None:
        """Create a prediction, unless an interrupted undo already did."""
        self.versions.add(version)
        if not any(p.model_version == version and same_result(p.result, result) for p in there):
            self.new.append(NewPrediction(task.id, result, version))

    def take_down(self, task: ReviewTask) -> None:
        """Delete our predictions on an open task, and the task unless somebody skipped it."""
        self.outdate(task, task.own_predictions)
        if not task.annotations:
            self.empty.append(task.id)

    def leave(self, task: ReviewTask) -> None:
        """Leave a task alone."""
        self.versions |= {p.model_version for p in task.own_predictions}
        self.up |= task.mined_ids


def plan_push(
    wanted: Iterable[ImagePredictions],
    tasks: Iterable[ReviewTask],
    withdrawn: Collection[str],
    model_version: str,
) -> ReviewPlan:
    """Compare a push with the state of the review project.

    Every open task of ours gets one prediction of this model version, since the project shows no
    other. Boxes judged in a submitted review are not shown again, nor are queued images without
    mined boxes that were reviewed under this version, or skipped. A task with somebody's draft is
    not changed: the server refuses a review whose prediction is gone.
    """
    plan = ReviewPlan()
    images = {image.source_task: image for image in wanted}
    by_source = group_by_source(tasks)
    for source in dict.fromkeys([*images, *by_source]):
        image, known = images.get(source), by_source.get(source, [])
        judged = {id for task in known for id in task.shown_ids}
        task, doubles = _open_task(known)
        for double in doubles:
            plan.replace(double, [], model_version)
        if image is None:
            if task is not None:
                _plan_rest(plan, task, {*withdrawn, *judged}, model_version)
            continue
        left = image.mined.keys() - judged - set(withdrawn)
        is_up = bool(left) or (image.queued and not _is_handled(known, task, model_version))
        if task is not None and task.drafts:
            plan.leave(task)
            # Withdrawn boxes are still shown to people who have started.
            if not left <= plan.up or (image.queued and not left and task.mined_ids):
                plan.kept[source] = f"{BEGUN}; push again afterwards"
                continue
        elif task is None and is_up:
            plan.without_task.append(image)
            if not left and not image.human:
                plan.bare.add(source)
        elif task is not None:
            if left:
                result = image.result(left_out=image.mined.keys() - left)
                changes = plan.replace(task, result, model_version)
            elif is_up or (image.queued and task.annotations):
                changes = plan.show_plain(task, image, model_version)
            else:
                changes = plan.replace(task, [], model_version)
            if changes:
                plan.changed.add(source)
        plan.images += is_up
        plan.boxes += len(left)
        plan.up |= left
    return plan


def plan_undo(tasks: Iterable[ReviewTask], region_ids: Collection[str] | None) -> ReviewPlan:
    """Plan the withdrawal of mined boxes from open tasks.

    Other boxes of their predictions stay up, with their model version. A task without mined boxes
    is deleted once none of its version are left.

    Args:
        tasks: of the review project.
        region_ids: the boxes; None for all.
    """
    plan = ReviewPlan()
    plain: list[ReviewTask] = []
    standing: set[str] = set()  # model versions whose mined boxes stay up
    for task in tasks:
        if not task.is_open:
            continue
        predictions, offered = task.own_predictions, task.mined_ids
        if not offered:
            plain.append(task)
            continue
        taken = offered if region_ids is None else offered & set(region_ids)
        plan.up |= offered - taken
        if task.drafts:
            plan.leave(task)
            standing |= task.model_versions
            if taken:
                plan.kept[task.source_task] = BEGUN
            continue
        if offered <= taken:
            plan.take_down(task)
            continue
        stay = [p for p in predictions if not p.mined_ids & taken]
        plan.outdate(task, (p for p in predictions if p not in stay))
        plan.versions |= {p.model_version for p in stay}
        for prediction in predictions:
            left = [] if prediction in stay else without(prediction.result, taken)
            if left:
                plan.add(task, left, prediction.model_version, stay)
        standing |= {p.model_version for p in predictions if p.mined_ids - taken}
    for task in plain:
        if not task.model_versions.isdisjoint(standing):
            plan.leave(task)
        elif task.drafts:
            plan.leave(task)
            plan.kept[task.source_task] = BEGUN
        else:
            plan.take_down(task)
    return plan


def vanishing_versions(tasks: Iterable[ReviewTask], plan: ReviewPlan) -> set[str]:
    """Return the model versions whose last prediction a plan deletes."""
    outdated = {p.id for p in plan.outdated}
    left = {p.model_version for task in tasks for p in task.predictions if p.id not in outdated}
    return {p.model_version for p in plan.outdated} - left - {p.model_version for p in plan.new}


def group_by_source(tasks: Iterable[ReviewTask]) -> dict[str, list[ReviewTask]]:
    """Group review tasks by the annotated task that they copy."""
    by_source: dict[str, list[ReviewTask]] = {}
    for task in tasks:
        by_source.setdefault(task.source_task, []).append(task)
    return by_source


def _open_task(known: Iterable[ReviewTask]) -> tuple[ReviewTask | None, list[ReviewTask]]:
    """Return the open task of an image, and untouched duplicates from a late request."""
    waiting = sorted(
        (task for task in known if task.is_open),
        key=lambda task: (not task.drafts, not task.annotations, task.id),
    )
    if not waiting:
        return None, []
    return waiting[0], [task for task in waiting[1:] if task.is_untouched]


def _is_handled(
    known: Iterable[ReviewTask], open_task: ReviewTask | None, model_version: str
) -> bool:
    """Whether an image without mined boxes was reviewed under a version, or its task skipped."""
    if open_task is not None and open_task.annotations:
        return True
    return any(task.annotations and model_version in task.model_versions for task in known)


def _plan_rest(
    plan: ReviewPlan, task: ReviewTask, gone: Collection[str], model_version: str
) -> None:
    """Plan an open task for which this push has no boxes: keep its boxes except `gone`."""
    predictions = task.own_predictions
    if task.drafts:
        plan.leave(task)
        return
    left = without(predictions[-1].result, gone) if predictions else []
    plan.replace(task, left, model_version)
