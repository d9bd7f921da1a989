"""`plan.json` of a round: what its push shows to people, decided once.

An interrupted push may have shown a part of it already. Planned again, with the reviews of that
part or without the options of the first call, the round would show something else.
"""

from dataclasses import asdict, dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from sparsedet.annotations import Dataset, file_digest
from sparsedet.annotations.mined_boxes import read_mined
from sparsedet.atomic_io import write_json
from sparsedet.ledger import Ledger, QueueEntry, as_mined
from sparsedet.loop.lot_file import read_lots
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.round_queue import RoundPlan
from sparsedet.loop.settings import Settings
from sparsedet.reading import read_object

_PLAN_AGAIN = "remove it, and run `sparsedet round` to plan the push again"


@dataclass(frozen=True, slots=True)
class KnownReviews:
    """What people had reviewed when a push was planned; whatever else they review is new."""

    judged: list[str]
    """Region ids of reviewed mined boxes."""
    skipped_images: list[str]
    """Tool ids of skipped images."""
    reviews: list[str]
    """Ids of the reviews."""


class _Entry(BaseModel):
    """Schema of an image of the queue; see `QueueEntry`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    image_id: int
    audit: bool
    expected: float
    boxes: int
    seconds: float
    judge_only: bool
    on_sheets: bool
    missing: float


class _Known(BaseModel):
    model_config = ConfigDict(extra="forbid")

    judged: list[str]
    skipped_images: list[str]
    reviews: list[str]


class _Plan(BaseModel):
    model_config = ConfigDict(extra="forbid")

    mined: str
    """Digest of the `mined.json` that it is for."""
    mode: str
    queue: list[_Entry]
    shown: list[str]
    held_back: list[int]
    on_sheets: list[str]
    left_out: list[str]
    sure_only: bool
    known: _Known


def known_reviews(ledger: Ledger) -> KnownReviews:
    """Return what people have reviewed so far."""
    return KnownReviews(
        judged=sorted(ledger.reviewed_ids()),
        skipped_images=sorted(ledger.skipped_images()),
        reviews=sorted(work.review_id for work in ledger.review_work()),
    )


def write_plan(
    plan: RoundPlan, known: KnownReviews, folder: RoundFolder, settings: Settings
) -> None:
    """Write the plan of a round, atomically. Its lots have a file of their own."""
    content: dict[str, Any] = {
        "mined": file_digest(folder.mined),
        "mode": settings.review.mode,
        "queue": [asdict(entry) for entry in plan.queue],
        "shown": [box.region_id for box in plan.shown],
        "held_back": sorted(plan.held_back),
        "on_sheets": sorted(plan.on_sheets),
        "left_out": sorted(plan.left_out),
        "sure_only": plan.sure_only,
        "known": asdict(known),
    }
    write_json(folder.plan, content, indent=1)


def read_plan(
    folder: RoundFolder, dataset: Dataset, settings: Settings, ledger: Ledger
) -> tuple[RoundPlan, KnownReviews] | None:
    """Return the plan of a round, and what was reviewed before it.

    Args:
        folder: the round's folder, which has mined.
        dataset: the round's annotations.
        settings: the workspace's settings.
        ledger: has the boxes of earlier rounds.

    Returns:
        None if there is none, or it is for other boxes or another review mode.

    Raises:
        SparseDetError: when the file is invalid.
    """
    if not folder.plan.exists():
        return None
    content = read_object(folder.plan, _Plan, _PLAN_AGAIN)
    if (content["mined"], content["mode"]) != (file_digest(folder.mined), settings.review.mode):
        return None
    mined = {box.region_id: box for box in read_mined(folder.mined, dataset)}
    earlier = as_mined((box for box in ledger.boxes() if box.region_id not in mined), dataset)
    boxes = {box.region_id: box for box in earlier} | mined
    lots = read_lots(folder)
    held = {id for lot in lots for id in lot.rest}
    plan = RoundPlan(
        queue=tuple(
            QueueEntry(**entry)
            for entry in content["queue"]
            if entry["image_id"] in dataset.image_by_id
        ),
        shown=tuple(boxes[id] for id in content["shown"] if id in boxes),
        held_back=frozenset(content["held_back"]),
        on_sheets=frozenset(content["on_sheets"]),
        lots=tuple(lots),
        held=tuple(box for id, box in mined.items() if id in held),
        left_out=frozenset(content["left_out"]),
        sure_only=content["sure_only"],
    )
    return plan, KnownReviews(**content["known"])
