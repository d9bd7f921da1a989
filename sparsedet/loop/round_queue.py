"""The queue of a round: which images people open, in which order, with which mined boxes."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sparsedet.annotations import XYXY, Dataset
from sparsedet.annotations.matching import iou_matrix
from sparsedet.annotations.mined_boxes import MinedBox, read_mined
from sparsedet.completeness.assessment import Assessment
from sparsedet.completeness.budget import Budget, parse_budget
from sparsedet.completeness.costs import ReviewCosts
from sparsedet.completeness.lots import Lot
from sparsedet.completeness.queue import Outlook, ShownBox, draw_audit, plan_queue
from sparsedet.completeness.selection import Selection
from sparsedet.completeness.sheet_budget import within_budget
from sparsedet.completeness.similar_order import alike_together
from sparsedet.ledger import Ledger, QueueEntry
from sparsedet.loop.lot_boxes import lots_of_round, released_boxes
from sparsedet.loop.lot_file import RoundLot, read_lots, round_lots
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.round_sheets import stored_sheets
from sparsedet.loop.settings import Settings
from sparsedet.loop.standing import assess_round, review_costs
from sparsedet.loop.workspace import Workspace

_SAME_PLACE_IOU = 0.4
"""IoU from which two boxes may show one object."""
_SURE_PRICE = 0.43
"""Maximum time per object in a round of sure boxes, as a share of the time of drawing ..."""
_SURE_ENOUGH = 0.3
"""... and the minimum share of the wanted objects that it has to bring."""
_SURE_UNTIL = 0.8
"""Share of objects with a box from which people draw: without, nobody finds what models can't see,
and the estimate becomes too optimistic."""
_SPARE = 0.5
"""Share of the objects missing at `rounds.stop_at` that a queue may leave out, since the
expected objects may not all be on its images."""


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """What a round shows to people."""

    queue: tuple[QueueEntry, ...]
    shown: tuple[MinedBox, ...]
    held_back: frozenset[int]
    """Ids of the blind sample's images, which show no mined box."""
    on_sheets: frozenset[str] = frozenset()
    """Region ids of the boxes shown on contact sheets; the others are on their images."""
    lots: tuple[RoundLot, ...] = ()
    """Boxes to accept by sample, if it is good enough."""
    held: tuple[MinedBox, ...] = ()
    """Boxes of the lots that wait for the samples."""
    left_out: frozenset[str] = frozenset()
    """Region ids of the boxes that are not shown although their image or sheet might be."""
    sure_only: bool = False
    """Whether the round shows sure boxes only; see `review.sure_first`."""


def plan_round(
    workspace: Workspace,
    folder: RoundFolder,
    dataset: Dataset,
    settings: Settings,
    ledger: Ledger,
    budget: Budget | None = None,
) -> RoundPlan:
    """Return a round's queue, and the mined boxes on its images.

    Drafts have no queue: they appear on the annotated project's own tasks, wherever something was
    mined. Neither do contact sheets, if these are all that is pushed: nobody draws on them, and the
    budget limits the sheets.

    Args:
        workspace: the workspace with earlier rounds.
        folder: the round's folder, which has mined.
        dataset: the round's annotations.
        settings: the workspace's settings.
        ledger: the ledger with the reviews.
        budget: limits the queue, or the sheets; None: as in the settings.
    """
    mined = read_mined(folder.mined, dataset)
    everything = (*mined, *released_boxes(workspace, ledger, dataset, mined))
    if budget is None and settings.review.budget:
        budget = parse_budget(settings.review.budget)
    if settings.review.mode == "sheets":
        return _on_sheets_alone(folder, everything, dataset, budget, review_costs(settings, ledger))
    if settings.review.mode == "draft" or not folder.candidates.exists():
        return RoundPlan((), everything, frozenset())
    found = assess_round(folder, dataset, settings, ledger)
    context = needing_context(everything, dataset)
    costs = review_costs(settings, ledger)
    planner = _Planner(found, everything, settings, costs, budget, context)
    if settings.review.sure_first:
        planner = planner.sure_only() or planner
    audit = planner.audit(folder.number)
    # An interrupted push may have shown the samples already.
    lots = read_lots(folder)
    if not lots:
        may_show = {box.region_id for box in planner.boxes}
        free = [b for b in mined if b.image_id not in audit and b.region_id in may_show]
        formed = lots_of_round(workspace, folder, dataset, free, settings)
        lots = round_lots(planner.affordable(formed, audit), dataset, folder.number)
    in_lots = {id for lot in lots for id in lot.boxes}
    audit -= {box.image_id for box in mined if box.region_id in in_lots}
    held = frozenset[str]().union(*(lot.rest for lot in lots))
    queue = planner.queue(audit, held, in_lots - held)
    judged = {entry.image_id for entry in queue} - audit
    on_sheets = {entry.image_id for entry in queue if entry.on_sheets}
    shown = [b for b in planner.boxes if b.image_id in judged and b.region_id not in held]
    opened = {entry.image_id: entry for entry in queue if not entry.on_sheets}
    return RoundPlan(
        tuple(opened[id] for id in alike_together(list(opened), found.embeddings)),
        tuple(shown),
        audit,
        frozenset(box.region_id for box in shown if box.image_id in on_sheets),
        tuple(lots),
        tuple(box for box in mined if box.region_id in held),
        frozenset(b.region_id for b in everything) - {b.region_id for b in planner.boxes},
        planner.price < math.inf,
    )


def _on_sheets_alone(
    folder: RoundFolder,
    boxes: Sequence[MinedBox],
    dataset: Dataset,
    budget: Budget | None,
    costs: ReviewCosts,
) -> RoundPlan:
    """Return the plan of a round whose boxes are judged on contact sheets only."""
    shown = {box.region_id for box in boxes}
    if folder.sheets.exists():
        # An interrupted push may have shown them already.
        shown &= {crop.region_id for sheet in stored_sheets(folder) for crop in sheet.crops}
    elif budget is not None:
        shown = {box.region_id for box in within_budget(boxes, dataset, budget, costs)}
    return RoundPlan(
        (),
        tuple(box for box in boxes if box.region_id in shown),
        frozenset(),
        frozenset(shown),
        left_out=frozenset(box.region_id for box in boxes if box.region_id not in shown),
    )


@dataclass(frozen=True)
class _Planner:
    """Plans the queue of a round, with or without holding some of its boxes."""

    found: Assessment
    boxes: Sequence[MinedBox]
    """All boxes that may be shown."""
    settings: Settings
    costs: ReviewCosts
    budget: Budget | None
    context: frozenset[int]
    """See `needing_context`."""
    price: float = math.inf
    """See `plan_queue`."""

    def sure_only(self) -> "_Planner | None":
        """Return the plan of a round of sure boxes, which costs least per object.

        A later model is surer of what is left, so it costs less in later rounds.

        Returns:
            None if such a round would bring too little, or little is missing.
        """
        if self.found.completeness.share >= _SURE_UNTIL:
            return None
        price = _SURE_PRICE * self.costs.drawing
        selection = Selection(replace(self.costs, drawing=price))
        chances = np.array([_chances(box) for box in self.boxes], dtype=np.float64).reshape(-1, 2)
        sure = selection.shows(*chances.T)
        boxes = [box for box, is_sure in zip(self.boxes, sure, strict=True) if is_sure]
        planner = replace(self, boxes=boxes, price=price)
        brought = sum(entry.expected for entry in planner.queue())
        wanted = self.found.wanted_for(self.settings.rounds.stop_at)
        return planner if brought >= max(_SURE_ENOUGH * wanted, 1.0) else None

    def audit(self, number: int) -> frozenset[int]:
        """Return the ids of the images of the blind sample of round `number`."""
        return draw_audit(
            self._outlooks(frozenset()),
            self.settings.review.audit,
            self.costs,
            review=self.queue(),
            budget=self.budget,
            seed=self.settings.training.seed,
            round=number,
        )

    def affordable(self, lots: Sequence[Lot], audit: frozenset[int]) -> Sequence[Lot]:
        """Return the first lots whose samples fit into the budget."""
        for count in range(len(lots), 0, -1):
            sample = {id for lot in lots[:count] for id in lot.sample}
            held = {box.region_id for lot in lots[:count] for box in lot.boxes} - sample
            opened = {entry.image_id for entry in self.queue(audit, frozenset(held), sample)}
            if {box.image_id for box in self.boxes if box.region_id in sample} <= opened:
                return lots[:count]
        return ()

    def queue(
        self,
        audit: frozenset[int] = frozenset(),
        held: frozenset[str] = frozenset(),
        sample: Collection[str] = (),
    ) -> list[QueueEntry]:
        """Return the images to open.

        Args:
            audit: ids of the blind sample's images.
            held: region ids of boxes waiting for a sample. They count as accepted: the objects they
                show need no review.
            sample: region ids of the samples' boxes, whose images come first.
        """
        completeness, stop_at = self.found.completeness, self.settings.rounds.stop_at
        objects = completeness.boxes + completeness.missing
        coming = sum(box.expected_precision or 0.0 for box in self.boxes if box.region_id in held)
        return plan_queue(
            self._outlooks(held),
            self.costs,
            audit=audit,
            budget=self.budget,
            wanted=max(self.found.wanted_for(stop_at) - coming, 0.0),
            leave=_SPARE * (1 - stop_at) * objects,
            first={box.image_id for box in self.boxes if box.region_id in sample},
            sheets=self.settings.review.mode == "auto",
            price=self.price,
            seed=self.settings.training.seed,
        )

    def _outlooks(self, held: frozenset[str]) -> list[Outlook]:
        """Return what is expected on each image once the held boxes are accepted."""
        shown: dict[int, list[ShownBox]] = {}
        coming: dict[int, float] = {}
        for box in self.boxes:
            if box.region_id in held:
                coming[box.image_id] = coming.get(box.image_id, 0.0) + _chances(box).on_object
            else:
                shown.setdefault(box.image_id, []).append(_chances(box))
        return [
            replace(
                outlook,
                shown=tuple(shown.get(outlook.image.id, ())),
                missing=max(outlook.missing - coming.get(outlook.image.id, 0.0), 0.0),
                crops_do=outlook.image.id not in self.context,
                waits=outlook.image.id in coming,
            )
            for outlook in self.found.outlooks
        ]


def _chances(box: MinedBox) -> ShownBox:
    chance = box.expected_precision or 0.0
    return ShownBox(chance, max(box.object_chance or 0.0, chance))


def needing_context(mined: Sequence[MinedBox], dataset: Dataset) -> frozenset[int]:
    """Return the ids of images whose mined boxes have to be seen in context.

    A crop can't show which of two boxes on one object is right.
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
    """Return a queue as stored in `push.json`, from which a lost ledger is rebuilt."""
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
