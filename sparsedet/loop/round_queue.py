"""The queue of a round: which images people open, in which order, and with which mined boxes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sparsedet.annotations import Dataset
from sparsedet.annotations.mined_boxes import MinedBox, read_mined
from sparsedet.completeness.budget import Budget, parse_budget
from sparsedet.completeness.queue import ShownBox, draw_audit, plan_queue
from sparsedet.ledger import Ledger, QueueEntry
from sparsedet.loop.settings import Settings
from sparsedet.loop.standing import assess_round, review_costs
from sparsedet.loop.workspace import RoundFolder

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


def plan_round(
    folder: RoundFolder,
    dataset: Dataset,
    settings: Settings,
    ledger: Ledger,
    budget: Budget | None = None,
) -> RoundPlan:
    """Return a round's queue, and the mined boxes that its images show.

    Drafts have no queue: they appear on the annotated project's own tasks, wherever something was
    mined.

    Args:
        folder: of the round, which has mined.
        dataset: its annotations.
        settings: of the workspace.
        ledger: with the reviews.
        budget: ends the queue; None: that of the settings.
    """
    mined = read_mined(folder.mined, dataset)
    if settings.review.mode == "draft" or not folder.candidates.exists():
        return RoundPlan((), mined, frozenset())
    on_image: dict[int, list[ShownBox]] = {}
    for box in mined:
        chance = box.expected_precision or 0.0
        shown = ShownBox(chance, max(box.object_chance or 0.0, chance))
        on_image.setdefault(box.image_id, []).append(shown)
    found = assess_round(folder, dataset, settings, ledger)
    outlooks = [
        replace(outlook, shown=tuple(on_image.get(outlook.image.id, ())))
        for outlook in found.outlooks
    ]
    seed, objects = settings.training.seed, found.completeness.boxes + found.completeness.missing
    costs = review_costs(settings, ledger)
    if budget is None and settings.review.budget:
        budget = parse_budget(settings.review.budget)
    wanted = found.wanted_for(settings.rounds.stop_at)
    leave = _SPARE * (1 - settings.rounds.stop_at) * objects
    review = plan_queue(outlooks, costs, budget=budget, wanted=wanted, leave=leave, seed=seed)
    audit = draw_audit(
        outlooks,
        settings.review.audit,
        costs,
        review=review,
        seed=seed,
        round=folder.number,
    )
    queue = plan_queue(
        outlooks, costs, audit=audit, budget=budget, wanted=wanted, leave=leave, seed=seed
    )
    opened = {entry.image_id for entry in queue} - audit
    return RoundPlan(tuple(queue), tuple(box for box in mined if box.image_id in opened), audit)


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
