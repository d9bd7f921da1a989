"""What a push or an undo has to change in a review project, worked out from what it holds.

Nothing is remembered between calls: a push that was cut off anywhere is completed by the next.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..predictions import (
    ImagePredictions,
    NewPrediction,
    StoredPrediction,
    replace_predictions,
    same_result,
    without,
)
from .review_tasks import ReviewTask

BEGUN = "somebody has begun its review and not submitted it"


@dataclass
class ReviewPlan:
    """What has to change, and what is up for review in the end."""

    without_task: list[ImagePredictions] = field(default_factory=list)
    """Images that need a task first."""
    new: list[NewPrediction] = field(default_factory=list)
    outdated: list[StoredPrediction] = field(default_factory=list)
    """Predictions to delete once the new ones are there."""
    empty: list[int] = field(default_factory=list)
    """Tasks to delete: nothing is left to review on them, and nobody has touched them."""
    images: int = 0
    boxes: int = 0
    changed: int = 0
    """Images of the push that get a prediction."""
    kept: dict[str, str] = field(default_factory=dict)
    """Source task -> why what is on it stays as it is."""
    up: set[str] = field(default_factory=set)
    """Ids of mined boxes that are up in the end."""
    versions: set[str] = field(default_factory=set)
    """Model versions of which predictions are there in the end."""

    def replace(self, task: ReviewTask, result: Sequence[Mapping[str, Any]], version: str) -> bool:
        """Bring an open task of ours to one prediction of `result`, or to none if it is empty.

        Returns:
            Whether that takes a new prediction.
        """
        change = replace_predictions(task.id, own_predictions(task), result, version)
        if change.new is not None:
            self.new.append(change.new)
        if result:
            self.versions.add(version)
        elif not task.annotations:
            self.empty.append(task.id)
        self.outdated += change.outdated
        return change.new is not None

    def add(
        self,
        task: ReviewTask,
        result: Sequence[Mapping[str, Any]],
        version: str,
        there: Iterable[StoredPrediction],
    ) -> None:
        """Make a prediction, unless it is there: an undo was cut off after making it."""
        self.versions.add(version)
        if not any(p.model_version == version and same_result(p.result, result) for p in there):
            self.new.append(NewPrediction(task.id, result, version))

    def leave(self, task: ReviewTask) -> None:
        """Leave a task alone."""
        predictions = own_predictions(task)
        self.versions |= {p.model_version for p in predictions}
        self.up |= {id for p in predictions for id in p.mined_ids}


def plan_push(
    wanted: Iterable[ImagePredictions],
    tasks: Iterable[ReviewTask],
    withdrawn: Collection[str],
    model_version: str,
) -> ReviewPlan:
    """Compare what a push wants with what the review project holds.

    Every open task of ours gets one prediction, of this model version: the project shows no other.
    What a submitted review has judged is not put up again. A task with somebody's draft stays as it
    is: the server refuses a review whose prediction is gone.
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
        if task is not None and task.drafts:
            plan.leave(task)
            if not left <= plan.up:
                plan.kept[source] = f"{BEGUN}; push again once it is"
                continue
        elif task is not None:
            result = image.result(left_out=image.mined.keys() - left) if left else []
            plan.changed += plan.replace(task, result, model_version)
        elif left:
            plan.without_task.append(image)
        plan.images += bool(left)
        plan.boxes += len(left)
        plan.up |= left
    return plan


def plan_undo(tasks: Iterable[ReviewTask], region_ids: Collection[str] | None) -> ReviewPlan:
    """Return what takes mined boxes back from open tasks.

    Other boxes of their predictions stay up, under the model version that they have.

    Args:
        tasks: of the review project.
        region_ids: the boxes; None: all.
    """
    plan = ReviewPlan()
    for task in tasks:
        if not task.is_open:
            continue
        predictions = own_predictions(task)
        offered = {id for p in predictions for id in p.mined_ids}
        taken = offered if region_ids is None else offered & set(region_ids)
        if task.drafts:
            plan.leave(task)
            if taken:
                plan.kept[task.source_task] = BEGUN
            continue
        stay = [p for p in predictions if not p.mined_ids & taken]
        plan.outdated += [p for p in predictions if p not in stay]
        plan.versions |= {p.model_version for p in stay}
        for prediction in predictions:
            left = [] if prediction in stay else without(prediction.result, taken)
            if left:
                plan.add(task, left, prediction.model_version, stay)
        if not offered - taken and not stay and not task.annotations:
            plan.empty.append(task.id)
        plan.up |= offered - taken
    return plan


def own_predictions(task: ReviewTask) -> list[StoredPrediction]:
    """Return the predictions of a review task that pushes made."""
    return [p for p in task.predictions if not p.by_backend]


def group_by_source(tasks: Iterable[ReviewTask]) -> dict[str, list[ReviewTask]]:
    """Return the review tasks by the task in the annotated project that they copy."""
    by_source: dict[str, list[ReviewTask]] = {}
    for task in tasks:
        by_source.setdefault(task.source_task, []).append(task)
    return by_source


def _open_task(known: Iterable[ReviewTask]) -> tuple[ReviewTask | None, list[ReviewTask]]:
    """Return the open task of an image, and untouched doubles that a late request has made."""
    waiting = sorted(
        (task for task in known if task.is_open),
        key=lambda task: (not task.drafts, not task.annotations, task.id),
    )
    if not waiting:
        return None, []
    return waiting[0], [task for task in waiting[1:] if task.is_untouched]


def _plan_rest(
    plan: ReviewPlan, task: ReviewTask, gone: Collection[str], model_version: str
) -> None:
    """Plan an open task that this push has no boxes for: what is up on it stays, but for `gone`."""
    predictions = own_predictions(task)
    if task.drafts:
        plan.leave(task)
        return
    left = without(predictions[-1].result, gone) if predictions else []
    plan.replace(task, left, model_version)
