"""Plans which drafts and predictions an annotated project should have, from its state."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sparsedet.annotations import Image
from sparsedet.reviews import AnnotationRule, ReviewedRegion, same_box

from ..annotation_choice import read_task
from ..images.addresses import shows_another
from ..labelling_config.label_config import LabelConfig
from ..offers import GONE, ImagePredictions
from ..predictions import Replacement, StoredPrediction, replace_predictions
from ..regions import Oddities
from .draft_tasks import (
    Account,
    Draft,
    DraftTask,
    is_signed,
    marked_regions,
    region_ids,
    results_of,
    saved_in_editor,
    signed,
)

CHANGED = "annotated since the pull; pull and mine again"
JUDGED = "saved by this account since the pull, which may be a review; review, pull, push again"
OWN_DRAFT = "has an unsaved draft; save or discard it and push again"
SEVERAL = (
    "several people's annotations count together, but a draft changes only one; star one, or "
    'set annotations = "ground-truth-first"'
)


@dataclass(frozen=True, slots=True)
class PulledImage:
    """An image as it was pulled."""

    image: Image
    boxes: Sequence[ReviewedRegion]


@dataclass(frozen=True, slots=True)
class WantedDraft:
    """A draft that an annotation should have but lacks."""

    task: int
    annotation: Mapping[str, Any]
    result: Sequence[Any]
    old: Draft | None
    """Our own untouched draft on the task, to be replaced."""


@dataclass
class DraftPlan:
    """Changes to make, and what is up for review afterwards."""

    write: list[WantedDraft] = field(default_factory=list)
    delete: list[tuple[int, Draft]] = field(default_factory=list)
    """Our drafts, with their tasks, that are stale or have nothing left to review."""
    unannotated: list[ImagePredictions] = field(default_factory=list)
    """Images whose boxes are pushed as predictions."""
    up: dict[str, int] = field(default_factory=dict)
    """Task -> number of boxes of this push in its draft."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Task -> why its boxes are not pushed."""


@dataclass(frozen=True, slots=True)
class DraftRules:
    """Parameters of a plan."""

    account: Account
    """The account that sees the drafts."""
    config: LabelConfig
    annotations: AnnotationRule
    owner: str | None
    """`marks.draft_mark` of the workspace."""
    withdrawn: Collection[str] = ()
    """Ids of boxes that should no longer be up."""


def plan_drafts(
    wanted: Mapping[str, ImagePredictions],
    pulled: Mapping[str, PulledImage],
    tasks: Mapping[str, DraftTask],
    rules: DraftRules,
) -> DraftPlan:
    """Compare the wanted drafts with those of the project.

    A draft is attached to the annotation that a pull reads. It contains the annotation's results,
    and the mined boxes that the annotation lacks. Our own untouched draft is updated; if its
    annotation has changed since, it is withdrawn or recreated.
    """
    plan = DraftPlan(skipped={id: GONE for id in wanted if id not in tasks})
    for id, task in tasks.items():
        image = wanted.get(id)
        chosen = task.chosen(rules.annotations)
        target = chosen[0] if len(chosen) == 1 else None
        ours = [draft for draft in task.drafts_of(rules.account) if draft.is_untouched]
        fresh = next((draft for draft in ours if _is_fresh(draft, target)), None)
        old = fresh or next(iter(ours), None)
        plan.delete += [(task.id, draft) for draft in ours if draft is not old]
        if image is not None and (reason := _obstacle(task, chosen, pulled[id], rules)):
            plan.skipped[id] = reason
            image = None
        mined = fresh.mined if fresh else {}
        mined = {**mined, **(image.mined if image else {})}
        there = region_ids(target.get("result")) if target else frozenset()
        mined = {i: r for i, r in mined.items() if i not in there and i not in rules.withdrawn}
        if target is None or not mined:
            plan.delete += [(task.id, old)] if old else []
            if image is not None and not chosen:
                plan.unannotated.append(image)
            continue
        result = signed(results_of(target), list(mined.values()), rules.owner)
        if fresh is None or fresh.result != result:
            plan.write.append(WantedDraft(task.id, target, result, old))
        if image is not None and (up := len(image.mined.keys() & mined.keys())):
            plan.up[id] = up
    return plan


def plan_predictions(
    wanted: Sequence[ImagePredictions],
    tasks: Mapping[str, DraftTask],
    stored: Mapping[int, Sequence[StoredPrediction]],
    rules: DraftRules,
    model_version: str | None,
    *,
    hidden: bool,
) -> dict[str, Replacement]:
    """Return changes that leave each unannotated task with one prediction of ours, or none.

    A prediction for which this push has no boxes stays, except for withdrawn boxes, under the new
    model version, since the project shows no other. Without a model version, it keeps its own. If
    the project hides predictions without ours, which `hidden` says, they are marked with that.
    """
    images = {image.source_task: image for image in wanted}
    replacements = {}
    for id, task in tasks.items():
        ours = [p for p in stored.get(task.id, ()) if is_signed(p.result)]
        if task.submitted or (id not in images and not ours) or task.level_drafts:
            continue
        mined = images[id].mined if id in images else marked_regions(ours[-1].result)
        left = [region for i, region in mined.items() if i not in rules.withdrawn]
        result = signed([], left, rules.owner, hidden=hidden) if left else []
        version = model_version or ours[-1].model_version
        replacements[id] = replace_predictions(task.id, ours, result, version)
    return replacements


def _is_fresh(draft: Draft, target: Mapping[str, Any] | None) -> bool:
    """Whether our draft matches its annotation's current state."""
    return (
        target is not None
        and draft.annotation == int(target["id"])
        and draft.drawn == results_of(target)
    )


def _obstacle(
    task: DraftTask, chosen: Sequence[Mapping[str, Any]], pulled: PulledImage, rules: DraftRules
) -> str | None:
    """Return why no mined boxes can be pushed to the task; None if they can."""
    if shows_another(pulled.image.file_name, task.id, rules.config.find_address(task.data)):
        return GONE
    if len(chosen) > 1:
        return SEVERAL
    target = chosen[0] if chosen else None
    if not _is_as_pulled(task, target, pulled, rules):
        return CHANGED
    version = pulled.image.tool_version
    if target and version and saved_in_editor(target, version, rules.account):
        return JUDGED  # perhaps every mined box was deleted
    if not all(draft.is_untouched for draft in task.drafts_of(rules.account)):
        return OWN_DRAFT
    lies_on = None if target is None else int(target["id"])
    for draft in task.drafts:
        if draft.user != rules.account.email and draft.annotation == lies_on:
            return f"has a draft of {draft.user}, which is lost when the annotation is saved"
    return None


def _is_as_pulled(
    task: DraftTask,
    target: Mapping[str, Any] | None,
    pulled: PulledImage,
    rules: DraftRules,
) -> bool:
    """Whether the annotation is the pulled one, with the same boxes."""
    version = pulled.image.tool_version
    if target is None or version is None:
        return target is None and version is None
    if version.partition("@")[0] != str(target["id"]):
        return False
    size = pulled.image.width, pulled.image.height
    now = read_task(
        task.annotations, rules.config, rules.annotations, task.id, Oddities(), size
    ).boxes
    left = list(pulled.boxes)
    for box in now:
        same = next((other for other in left if same_box(box, other)), None)
        if same is None:
            return False
        left.remove(same)
    return not left
