"""The lots of rounds: held until their samples are reviewed, then accepted, released or undone.

A lot's boxes have a place of their own in the ledger, which no tool reads. When a lot passes, its
decision is stored as reviews of that place, so that training, merges and conflicts treat its boxes
like reviewed ones.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sparsedet.annotations import XYXY
from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix
from sparsedet.errors import SparseDetError
from sparsedet.ledger import Ledger, LedgerBox, Place
from sparsedet.loop.lot_file import RoundLot, all_lots, lost_boxes, write_lot
from sparsedet.loop.reviews import Connections, Say, collect_reviews
from sparsedet.loop.workspace import Workspace
from sparsedet.push_modes import PlaceReviews, Progress, no_progress
from sparsedet.reviews import AnnotationRule, Review
from sparsedet.wording import counted


@dataclass(frozen=True, slots=True)
class UndoneLot:
    """The result of undoing a lot."""

    lot: str
    pending: int
    """Boxes that wait for a reviewer again; the next round pushes them."""
    kept: int
    """Boxes that stay, since a person has decided them."""
    merged: int
    """Those of the pending boxes that the annotated project keeps until the next merge."""


def collect_and_settle(
    workspace: Workspace | None,
    ledger: Ledger,
    connections: Connections,
    rule: AnnotationRule,
    *,
    say: Say,
    progress: Progress = no_progress,
) -> None:
    """Read all reviews, then settle every lot whose sample is decisive.

    Args:
        workspace: the workspace of the ledger; None for a ledger without rounds, which has no lots.
        ledger: receives the reviews.
        connections: connections to the review places.
        rule: how to combine parallel reviews.
        say: receives messages for the user.
        progress: called while reading.
    """
    collect_reviews(ledger, connections, rule, say=say, progress=progress)
    if workspace is not None:
        _settle(workspace, ledger, rule, say)


def _settle(workspace: Workspace, ledger: Ledger, rule: AnnotationRule, say: Say) -> None:
    for folder in workspace.all_rounds():
        if lost := lost_boxes(folder):
            say(
                f"{folder.lots} is missing, so {counted(lost, 'box waits', 'boxes wait')} for the "
                "sample of a lot that nobody knows; restore it from a backup"
            )
    # While a round's push is interrupted, its samples may not be up yet.
    waiting = [
        (folder, lot)
        for folder, lot in all_lots(workspace)
        if lot.state == "waiting" and folder.push.exists()
    ]
    if not waiting:
        return
    rows = {box.region_id: box for box in ledger.boxes()}
    for folder, lot in waiting:
        settled = _settled(lot, rows)
        if settled.state == "waiting":
            continue
        rest = [rows[id] for id in sorted(lot.rest & rows.keys()) if rows[id].is_held]
        if settled.state == "passed":
            count = _accept(ledger, settled, rest, rule)
            becomes = f"{counted(count, 'box is', 'boxes are')} accepted without a review"
        elif settled.state == "failed":
            becomes = (
                f"the other {counted(len(rest), 'box goes', 'boxes go')} to review with the next "
                "round"
            )
        else:
            ledger.withdraw({box.region_id for box in rest})
            becomes = "its sample was withdrawn before it was reviewed, and so are its boxes"
        # Last: until the file is written, the next call repeats all of this.
        write_lot(settled, folder)
        say(
            f"{lot} {settled.state}: {settled.wrong} of {counted(len(lot.sample), 'sampled box')} "
            f"wrong ({lot.allowed} allowed); {becomes}"
        )


def undo_lot(workspace: Workspace, ledger: Ledger, id: str, rule: AnnotationRule) -> UndoneLot:
    """Undo the acceptance of a lot: its boxes wait for a reviewer again.

    Boxes that a person has decided since stay as they are.

    Raises:
        SparseDetError: when there is no such lot, or it did not pass.
    """
    lots = {lot.id: (folder, lot) for folder, lot in all_lots(workspace)}
    if id not in lots:
        known = ", ".join(f"{lot.id} ({lot.state})" for _, lot in lots.values())
        raise SparseDetError(
            f"{workspace.root}: no lot {id}; " + (f"there are {known}" if known else "it has none")
        )
    folder, lot = lots[id]
    if lot.state != "passed":
        raise SparseDetError(f"{lot} is {lot.state}: only a lot that passed can be undone")
    before = _of_lot(ledger, lot)
    merged = {box.region_id for box in before if box.outcome == "sampled" and box.in_source}
    take_back(ledger, lot, rule)
    write_lot(replace(lot, state="undone"), folder)
    after = _of_lot(ledger, lot)
    pending = {box.region_id for box in after if box.outcome == "pending"}
    return UndoneLot(
        lot=lot.id,
        pending=len(pending),
        kept=sum(box.is_judged for box in after),
        merged=len(merged & pending),
    )


def take_back(ledger: Ledger, lot: RoundLot, rule: AnnotationRule) -> None:
    """Set a lot's boxes to undecided."""
    boxes = [box for box in _of_lot(ledger, lot) if box.outcome != "withdrawn"]
    _record(ledger, lot, boxes, rule, unsure=True)


def _settled(lot: RoundLot, rows: Mapping[str, LedgerBox]) -> RoundLot:
    """Return a lot settled by its sample's reviews; waiting while they don't suffice."""
    sample = [rows.get(id) for id in lot.sample]
    reviewed = [box for box in sample if box is not None and box.is_reviewed]
    wrong = sum(not _is_right(box) for box in reviewed)
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    lot = replace(lot, wrong=wrong)
    if wrong > lot.allowed:
        return replace(lot, state="failed", settled_at=now)
    if len(reviewed) == len(sample):
        return replace(lot, state="passed", settled_at=now)
    if any(box is None or box.outcome == "withdrawn" for box in sample):
        return replace(lot, state="withdrawn", settled_at=now)
    return lot


def _is_right(box: LedgerBox) -> bool:
    """Whether a sampled box would have been right without its review; undecided ones are not."""
    final = box.final
    if final is None or final.category != box.category:
        return False
    return overlaps_any(box.xyxy, [final.xyxy])


def _accept(ledger: Ledger, lot: RoundLot, rest: Sequence[LedgerBox], rule: AnnotationRule) -> int:
    """Accept a lot's boxes unless a review contradicts or replaces them; return their number.

    If somebody marked the image, or the class on it, as complete without a box, there is no such
    object; if somebody drew a box of the class there, the object has one.
    """
    reviewed = [image for source in ledger.sources() for image in ledger.image_reviews(source)]
    verdicts = [(image.tool_id, image.verdict(rule)) for image in reviewed]
    complete = {id for id, verdict in verdicts if verdict.complete}
    in_class = {(id, name) for id, verdict in verdicts for name in verdict.complete_classes}
    drawn: dict[tuple[str, str], list[XYXY]] = {}
    for one in ledger.drawn(rule):
        drawn.setdefault((one.tool_id, one.category), []).append(one.xyxy)
    accepted, needless = list[LedgerBox](), set[str]()
    for box in rest:
        # After an interrupted call they are accepted already.
        if box.outcome == "sampled":
            accepted.append(box)
        elif not waits(box):
            continue
        elif (
            box.image_tool_id in complete
            or (box.image_tool_id, box.category) in in_class
            or overlaps_any(box.xyxy, drawn.get((box.image_tool_id, box.category), ()))
        ):
            needless.add(box.region_id)
        else:
            accepted.append(box)
    _record(ledger, lot, accepted, rule, unsure=False)
    ledger.withdraw(needless)
    return len(accepted)


def _record(
    ledger: Ledger,
    lot: RoundLot,
    boxes: Collection[LedgerBox],
    rule: AnnotationRule,
    *,
    unsure: bool,
) -> None:
    """Record a lot's decision on its boxes, as one review per image."""
    by_place: dict[Place, dict[str, list[LedgerBox]]] = {}
    for box in boxes:
        by_place.setdefault(box.push.place, {}).setdefault(box.image_tool_id, []).append(box)
    for place, images in by_place.items():
        reviews = [
            Review(
                tool_id=tool_id,
                review_id=lot.place,
                shown={box.region_id: box.mined for box in own},
                regions=tuple(replace(box.mined, unsure=unsure) for box in own),
                reviewer=f"lot {lot.id}",
                offer=lot.place,
                saved_at=lot.settled_at,
                sampled=True,
            )
            for tool_id, own in images.items()
        ]
        ledger.record_reviews(place, PlaceReviews(reviews, offers=frozenset({lot.place})), rule)


def _of_lot(ledger: Ledger, lot: RoundLot) -> list[LedgerBox]:
    """Return the boxes of a lot that were never up for review."""
    return [box for box in ledger.boxes() if box.region_id in lot.rest and box.is_held]


def waits(box: LedgerBox) -> bool:
    """Return whether a box is held and has not been seen by anybody."""
    return box.is_held and box.outcome == "pending" and not box.is_reviewed


def overlaps_any(xyxy: XYXY, others: Iterable[XYXY]) -> bool:
    """Return whether a box shows the same object as another one."""
    found = list(others)
    return bool(found and (iou_matrix([xyxy], found) >= SAME_OBJECT_IOU).any())
