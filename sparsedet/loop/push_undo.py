"""Undo pushes: withdraw what nobody has reviewed."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

from sparsedet.errors import PlaceAwayError, PlaceGoneError, ToolError
from sparsedet.ledger import Ledger, LedgerBox, Place
from sparsedet.loop.reviews import Connections, Say
from sparsedet.loop.settings import Settings
from sparsedet.push_modes import OnOffer, Progress, UndoReport, no_progress


def undo_push(
    ledger: Ledger,
    connections: Connections,
    *,
    settings: Settings | None = None,
    round: int | None = None,
    dry_run: bool = False,
    say: Say,
    progress: Progress = no_progress,
) -> UndoReport:
    """Withdraw unreviewed boxes, all or those of one round.

    They become `withdrawn` in the ledger; outcomes stay. Boxes of lots follow their samples.

    Args:
        ledger: the ledger with all reviews.
        connections: connections to the annotation tools.
        settings: those of the workspace, to find what a killed push did not record.
        round: only its boxes; None: all, including unrecorded ones.
        dry_run: only compute the report.
        say: receives messages for the user.
        progress: called while withdrawing.
    """
    places = ledger.places()
    if settings is not None and round is None:
        places += _unrecorded(places, connections, settings, say)
    total: Counter[str] = Counter()
    taken: set[str] = set()
    kept: dict[str, str] = {}
    for place in places:
        # Even without boxes: a view may be left over.
        try:
            report = _undo_at(place, ledger, connections, round, dry_run, progress)
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


def _undo_at(
    place: Place,
    ledger: Ledger,
    connections: Connections,
    round: int | None,
    dry_run: bool,
    progress: Progress,
) -> UndoReport:
    """Withdraw the unreviewed boxes of a place; the ledger is left as it is."""
    known = {box.region_id: box for box in ledger.boxes()}
    ids = frozenset(
        box.region_id
        for box in known.values()
        if box.push.place == place
        and box.outcome == "pending"
        and (round is None or box.round == round)
    )
    offer = _on_offer(ledger, connections, place)
    if offer is not None:
        ids |= _left_up(offer, known, round)
    report = connections.mode(place).undo(
        place.project, place.review_project, ids, dry_run=dry_run, progress=progress
    )
    if offer is None:
        return report
    # An undo that was killed may have taken them down without a record of it.
    down = frozenset(
        id
        for id in ids - offer.boxes.keys() - offer.busy
        if not known[id].is_reviewed and known[id].image_tool_id not in report.kept
    )
    return replace(report, region_ids=report.region_ids | down)


def _unrecorded(
    places: Collection[Place], connections: Connections, settings: Settings, say: Say
) -> list[Place]:
    """Return places that the ledger lacks: a first push may have been killed before its record.

    Before anything was recorded, it may have been in any mode. Recorded pushes can be withdrawn
    even if the annotated project is gone, so that is no error if there are any.
    """
    source = connections.ledger_source(settings.source)
    tool = connections.tool(source)
    known = {place.mode for place in places if place.source == source}
    wanted = settings.review.modes if places else tool.push_modes
    found = []
    for mode in wanted:
        if mode in known or mode not in tool.push_modes:
            continue
        try:
            at = tool.push_modes[mode].find_place(source.project)
        except ToolError as error:
            if not places:
                raise
            say(f"{error}: only recorded pushes are withdrawn")
            break
        if at is not None:
            found.append(Place(source.tool, source.url, source.project, at, mode))
    return found


def _on_offer(ledger: Ledger, connections: Connections, place: Place) -> OnOffer | None:
    """Return what a place shows; None if it is out of reach."""
    try:
        return connections.mode(place).on_offer(place.review_project, ledger.pushed_images(place))
    except PlaceAwayError:
        return None


def _left_up(offer: OnOffer, known: Mapping[str, LedgerBox], round: int | None) -> frozenset[str]:
    """Return boxes that are up although withdrawn, or that the ledger does not know.

    A request may arrive after an undo, or a push may have been killed before it was recorded.

    Args:
        offer: what a place shows.
        known: the ledger's boxes by region id.
        round: only its boxes; None: all, including unknown ones.
    """
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
