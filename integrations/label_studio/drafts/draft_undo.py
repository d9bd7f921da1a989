"""Withdraws untouched drafts and predictions of pushes."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from sparsedet.push_modes import Progress, UndoReport

from ..client.connection import Connection
from ..predictions import (
    NewPrediction,
    Replacement,
    StoredPrediction,
    read_predictions,
    same_result,
)
from ..projects import has_drafts
from ..views import hide_versions, is_view, remove_views
from .draft_plan import WantedDraft
from .draft_push import VIEW, VIEW_TITLE, apply_replacements, delete_drafts, write_drafts
from .draft_tasks import (
    Draft,
    DraftTask,
    is_hidden,
    is_signed,
    marked_regions,
    owner_of,
    read_draft_tasks,
    signed,
)
from .draft_tasks import (
    region_ids as ids_of,
)

TOUCHED = "somebody has changed its draft; save or discard it"
BEGUN = "somebody has started to annotate it, but not submitted it"

Owners = Callable[[str | None], bool]
"""Whether a workspace's mark is selected."""


@dataclass(frozen=True, slots=True)
class DraftsUp:
    """Pushed boxes that are up for review in an annotated project."""

    boxes: int
    foreign: str
    """Another workspace's mark on some of them; empty without."""


def drafts_up(
    connection: Connection, project: int, mark: str | None, control: str | None
) -> DraftsUp:
    """Return what is up for review in draft mode; reads little if nothing is.

    Args:
        connection: to the server.
        project: the annotated project.
        mark: this workspace's mark; None ignores marks.
        control: only boxes of this control; None for all.
    """
    stored = read_predictions(connection, project)
    if not any(is_signed(p.result) for p in _all(stored)) and not has_drafts(connection, project):
        return DraftsUp(0, "")
    return what_is_up(read_draft_tasks(connection, project).values(), stored, mark, control)


def what_is_up(
    tasks: Iterable[DraftTask],
    stored: Mapping[int, Sequence[StoredPrediction]],
    mark: str | None,
    control: str | None,
) -> DraftsUp:
    """Return what untouched drafts and predictions are up for review; see `drafts_up`."""
    lists = [draft.result for task in tasks for draft in task.drafts if draft.is_untouched]
    for task in tasks:
        if not task.submitted:
            lists += [p.result for p in stored.get(task.id, ()) if is_signed(p.result)]
    boxes = 0
    foreign = ""
    for result in lists:
        mined = marked_regions(result)
        if control is not None and any(r.get("from_name") != control for r in mined.values()):
            continue
        boxes += len(mined)
        owner = owner_of(result)
        if mark is not None and owner not in (None, mark):
            foreign = str(owner)
    return DraftsUp(boxes, foreign)


def undo_drafts(
    connection: Connection,
    project: int,
    region_ids: Collection[str] | None,
    *,
    dry_run: bool,
    progress: Progress,
    owners: Owners = lambda _: True,
) -> UndoReport:
    """Delete our untouched drafts, our predictions on tasks without annotation, and our view.

    Other boxes of a draft or prediction stay up. People's drafts, annotations and renamed views
    stay.

    Args:
        connection: to the server.
        project: the annotated project.
        region_ids: the mined boxes; None for all.
        dry_run: only work out the report.
        progress: called for everything that is deleted.
        owners: selects by owner; by default everybody's.
    """
    tasks = read_draft_tasks(connection, project)
    stored = read_predictions(connection, project)
    plan = _plan(tasks.values(), stored, region_ids, owners)
    judged = {
        id for task in tasks.values() for a in task.submitted for id in ids_of(a.get("result"))
    }
    asked = plan.taken if region_ids is None else set(region_ids)
    views = 0
    if not plan.up:
        is_ours = partial(is_view, title=VIEW_TITLE, settings=VIEW)
        views = remove_views(connection, project, is_ours, dry_run=dry_run)
    if not dry_run:
        outdated = [p for change in plan.predictions for p in change.outdated]
        hide_versions(
            connection,
            project,
            plan.last_of_their_version(stored),
            off=any(is_hidden(p.result) for p in outdated),
        )
        delete_drafts(connection, plan.delete, progress)
        write_drafts(connection, plan.write, progress)
        apply_replacements(connection, project, plan.predictions, progress)
    return UndoReport(
        predictions=sum(len(change.outdated) for change in plan.predictions),
        drafts=len(plan.delete) + len(plan.write),
        views=views,
        region_ids=frozenset(asked - plan.up - judged),
        kept=plan.kept,
    )


@dataclass
class _Plan:
    delete: list[tuple[int, Draft]] = field(default_factory=list)
    write: list[WantedDraft] = field(default_factory=list)
    predictions: list[Replacement] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    """Ids of withdrawn boxes."""
    up: set[str] = field(default_factory=set)
    """Ids of boxes that stay up."""

    def last_of_their_version(self, stored: Mapping[int, Sequence[StoredPrediction]]) -> set[str]:
        """Return the model versions that have no predictions left afterwards."""
        outdated = {p.id: p.model_version for change in self.predictions for p in change.outdated}
        left = {p.model_version for p in _all(stored) if p.id not in outdated}
        new = {change.new.model_version for change in self.predictions if change.new is not None}
        return set(outdated.values()) - left - new


def _plan(
    tasks: Iterable[DraftTask],
    stored: Mapping[int, Sequence[StoredPrediction]],
    region_ids: Collection[str] | None,
    owners: Owners,
) -> _Plan:
    plan = _Plan()
    for task in tasks:
        for draft in task.drafts:
            if draft.is_untouched and owners(draft.owner):
                _plan_draft(plan, task, draft, region_ids)
            elif not draft.is_untouched:
                # Mined boxes in somebody's draft; those in the annotation itself are judged.
                there = ids_of(draft.result)
                if region_ids is not None and (mine := there & set(region_ids)):
                    plan.kept[str(task.id)] = TOUCHED
                    plan.up |= mine
            else:
                plan.up |= draft.mined.keys()
        if task.submitted:
            continue
        ours = [p for p in stored.get(task.id, ()) if is_signed(p.result)]
        for prediction in ours:
            _plan_prediction(plan, task, prediction, ours, region_ids, owners)
    return plan


def _plan_draft(
    plan: _Plan, task: DraftTask, draft: Draft, region_ids: Collection[str] | None
) -> None:
    mined = draft.mined
    taken = set(mined) if region_ids is None else mined.keys() & set(region_ids)
    left = {id: region for id, region in mined.items() if id not in taken}
    annotation = None if draft.annotation is None else task.annotation(draft.annotation)
    plan.taken |= taken
    plan.up |= left.keys()
    if not left:
        plan.delete.append((task.id, draft))
    elif taken and annotation is not None:
        result = signed(draft.drawn, list(left.values()), draft.owner)
        plan.write.append(WantedDraft(task.id, annotation, result, draft))


def _plan_prediction(
    plan: _Plan,
    task: DraftTask,
    prediction: StoredPrediction,
    ours: Sequence[StoredPrediction],
    region_ids: Collection[str] | None,
    owners: Owners,
) -> None:
    mined = marked_regions(prediction.result)
    owner = owner_of(prediction.result)
    taken = set(mined) if region_ids is None else mined.keys() & set(region_ids)
    if not owners(owner) or (taken and task.level_drafts):
        taken, kept = set(), taken
        if kept and owners(owner):
            plan.kept[str(task.id)] = BEGUN
    left = [region for id, region in mined.items() if id not in taken]
    plan.taken |= taken
    plan.up |= mined.keys() - taken
    if not taken:
        return
    result = signed([], left, owner, hidden=is_hidden(prediction.result)) if left else []
    others = [p for p in ours if p.model_version == prediction.model_version]
    is_there = any(p is not prediction and same_result(p.result, result) for p in others)
    new = NewPrediction(task.id, result, prediction.model_version) if result else None
    plan.predictions.append(Replacement(None if is_there else new, (prediction,)))


def _all(stored: Mapping[int, Sequence[StoredPrediction]]) -> list[StoredPrediction]:
    return [prediction for predictions in stored.values() for prediction in predictions]
