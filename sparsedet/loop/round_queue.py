"""The queue of a round: which images people open, in which order, and with which mined boxes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sparsedet.annotations import XYXY, Dataset
from sparsedet.annotations.matching import iou_matrix
from sparsedet.annotations.mined_boxes import MinedBox, read_mined
from sparsedet.completeness.budget import Budget, parse_budget
from sparsedet.completeness.queue import ShownBox, draw_audit, plan_queue
from sparsedet.ledger import Ledger, QueueEntry
from sparsedet.loop.settings import Settings
from sparsedet.loop.standing import assess_round, review_costs
from sparsedet.loop.workspace import RoundFolder

_SAME_PLACE_IOU = 0.4
"""From this overlap on, two boxes may show one object."""
_SPARE = 0.5
"""Of the objects that may be missing at `rounds.stop_at`, the share that a queue leaves: what is
expected on its images may not all be there."""


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """What a round puts in front of people."""

    queue: tuple[QueueEntry, ...]
    shown: tuple[MinedBox, ...]
    held_back: frozenset[int]
    """Ids of the images of the blind sample: no mined box is shown on them."""
    on_sheets: frozenset[str] = frozenset()
    """Region ids of the boxes that are shown on contact sheets; the others are on their images."""


def plan_round(
    folder: RoundFolder,
    dataset: Dataset,
    settings: Settings,
    ledger: Ledger,
    budget: Budget | None = None,
) -> RoundPlan:
    """Return a round's queue, and the mined boxes that its images show.

    Drafts have no queue: they appear on the annotated project's own tasks, wherever something was
    mined. Nor have contact sheets: nobody draws on them.

    Args:
        folder: of the round, which has mined.
        dataset: its annotations.
        settings: of the workspace.
        ledger: with the reviews.
        budget: ends the queue; None: that of the settings.
    """
    mined = read_mined(folder.mined, dataset)
    if settings.review.mode == "sheets":
        return RoundPlan((), mined, frozenset(), frozenset(box.region_id for box in mined))
    if settings.review.mode == "draft" or not folder.candidates.exists():
        return RoundPlan((), mined, frozenset())
    on_image: dict[int, list[ShownBox]] = {}
    for box in mined:
        chance = box.expected_precision or 0.0
        shown = ShownBox(chance, max(box.object_chance or 0.0, chance))
        on_image.setdefault(box.image_id, []).append(shown)
    found = assess_round(folder, dataset, settings, ledger)
    context = needing_context(mined, dataset)
    outlooks = [
        replace(
            outlook,
            shown=tuple(on_image.get(outlook.image.id, ())),
            crops_do=outlook.image.id not in context,
        )
        for outlook in found.outlooks
    ]
    seed, objects = settings.training.seed, found.completeness.boxes + found.completeness.missing
    costs = review_costs(settings, ledger)
    if budget is None and settings.review.budget:
        budget = parse_budget(settings.review.budget)
    wanted = found.wanted_for(settings.rounds.stop_at)
    leave = _SPARE * (1 - settings.rounds.stop_at) * objects
    plan = partial(
        plan_queue,
        outlooks,
        costs,
        budget=budget,
        wanted=wanted,
        leave=leave,
        sheets=settings.review.mode == "auto",
        seed=seed,
    )
    audit = draw_audit(
        outlooks,
        settings.review.audit,
        costs,
        review=plan(),
        seed=seed,
        round=folder.number,
    )
    queue = plan(audit=audit)
    judged = {entry.image_id for entry in queue} - audit
    on_sheets = {entry.image_id for entry in queue if entry.on_sheets}
    return RoundPlan(
        tuple(entry for entry in queue if not entry.on_sheets),
        tuple(box for box in mined if box.image_id in judged),
        audit,
        frozenset(box.region_id for box in mined if box.image_id in on_sheets),
    )


def needing_context(mined: Sequence[MinedBox], dataset: Dataset) -> frozenset[int]:
    """Return the ids of images on which a mined box has to be seen among its neighbours.

    Which of two boxes on one object is right, a crop of each does not show.
    """
    by_image: dict[int, list[XYXY]] = {}
    for box in mined:
        by_image.setdefault(box.image_id, []).append(box.xyxy)
    found = set()
    for image_id, boxes in by_image.items():
        known = [box.xyxy for box in dataset.boxes_by_image[image_id] if not box.iscrowd]
        overlap = iou_matrix(boxes, [*boxes, *known])
        overlap[range(len(boxes)), range(len(boxes))] = 0
        if overlap.max(initial=0) >= _SAME_PLACE_IOU:
            found.add(image_id)
    return frozenset(found)


def queue_record(queue: Sequence[QueueEntry], dataset: Dataset) -> list[dict[str, Any]]:
    """Return a queue as `push.json` holds it: a lost ledger is rebuilt from that."""
    return [
        {
            "image_tool_id": image.tool_id,
            "file_name": image.file_name,
            "width": image.width,
            "height": image.height,
            "audit": entry.audit,
            "judge_only": entry.judge_only,
            "expected": round(entry.expected, 4),
            "boxes": entry.boxes,
            "seconds": round(entry.seconds, 2),
        }
        for entry in queue
        for image in (dataset.image_by_id[entry.image_id],)
    ]
