"""Undo pushes: withdraw what nobody has reviewed."""

from collections import Counter
from collections.abc import Mapping

from sparsedet.errors import PlaceAwayError, PlaceGoneError
from sparsedet.ledger import Ledger, LedgerBox, Place
from sparsedet.loop.reviews import Connections, Say
from sparsedet.push_modes import Progress, UndoReport, no_progress


def undo_push(
    ledger: Ledger,
    connections: Connections,
    *,
    round: int | None = None,
    dry_run: bool = False,
    say: Say,
    progress: Progress = no_progress,
) -> UndoReport:
    """Withdraw unreviewed boxes, all or those of one round.

    They become `withdrawn` in the ledger; outcomes stay. Boxes of lots follow their samples.
    """
    total: Counter[str] = Counter()
    taken: set[str] = set()
    kept: dict[str, str] = {}
    for place in ledger.places():
        known = {box.region_id: box for box in ledger.boxes()}
        ids = frozenset(
            box.region_id
            for box in known.values()
            if box.push.place == place
            and box.outcome == "pending"
            and (round is None or box.round == round)
        )
        # Even without boxes: a view may be left over.
        try:
            ids |= _left_up(ledger, connections, place, known, round)
            report = connections.mode(place).undo(
                place.project, place.review_project, ids, dry_run=dry_run, progress=progress
            )
        except PlaceGoneError as error:
            say(f"{error}: nothing to withdraw there")
            ledger.mark_gone(place)
            continue
        if not dry_run:
            ledger.withdraw(report.region_ids)
        for name in ("predictions", "drafts", "tasks", "views"):
            total[name] += getattr(report, name)
        taken |= report.region_ids
        kept |= report.kept
    held = {
        box.region_id
        for box in ledger.boxes()
        if box.is_held and box.outcome == "pending" and (round is None or box.round == round)
    }
    if not dry_run:
        ledger.withdraw(held)
    taken |= held
    return UndoReport(
        predictions=total["predictions"],
        drafts=total["drafts"],
        tasks=total["tasks"],
        views=total["views"],
        region_ids=frozenset(taken),
        kept=kept,
    )


def _left_up(
    ledger: Ledger,
    connections: Connections,
    place: Place,
    known: Mapping[str, LedgerBox],
    round: int | None,
) -> frozenset[str]:
    """Return boxes that are up although withdrawn, or that the ledger does not know.

    A request may arrive after an undo, or a push may have been killed before it was recorded.

    Args:
        ledger: the ledger.
        connections: connections to the annotation tools.
        place: where to look.
        known: the ledger's boxes by region id.
        round: only its boxes; None: all, including unknown ones.
    """
    try:
        offer = connections.mode(place).on_offer(place.review_project, ledger.pushed_images(place))
    except PlaceAwayError:
        return frozenset()
    return frozenset(
        id
        for id in offer.boxes
        if (id not in known and round is None)
        or (
            id in known
            and known[id].outcome == "withdrawn"
            and (round is None or known[id].round == round)
        )
    )
