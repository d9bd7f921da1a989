"""For any reviews, ledger, training and merges agree on their meaning."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from sparsedet.ledger import Ledger, LedgerBox, Place
from sparsedet.push_modes import PlaceReviews
from sparsedet.reviews import Review, decide, same_box
from tests.ledger.builders import MINED, dataset, drafts, kept, mined_region, new_push

PLACES = [new_push().place, new_push(review_project="9").place, drafts().place]
IDS = {"11": ["a1", "a2"], "12": ["b1"]}
OFFERS = ["", "t1", "t2"]
EDGES = [(10.0, 10.0, 50.0, 50.0), (10.5, 10.0, 50.0, 50.0), (14.0, 10.0, 50.0, 50.0)]


@st.composite
def reviews(draw: st.DrawFn, tool_id: str) -> list[Review]:
    found = []
    for number in range(draw(st.integers(0, 3))):
        shown = draw(st.lists(st.sampled_from(IDS[tool_id]), unique=True))
        left = draw(st.lists(st.sampled_from([*IDS[tool_id], "own"]), unique=True))
        found.append(
            Review(
                tool_id,
                f"{tool_id}-{number}",
                shown={id: mined_region(id) for id in shown},
                regions=tuple(
                    kept(id, "cat", draw(st.sampled_from(EDGES)), unsure=draw(st.booleans()))
                    for id in left
                ),
                offer=draw(st.sampled_from(OFFERS)),
                saved_at=draw(
                    st.sampled_from(["", "2026-05-01T10:00:00Z", "2026-05-02T10:00:00Z"])
                ),
                ground_truth=draw(st.booleans()),
                skipped=draw(st.booleans()),
                reviewer=draw(st.sampled_from([None, "ann", "bob"])),
            )
        )
    return found


@dataclass(frozen=True)
class Event:
    kind: str
    place: Place
    ids: frozenset[str]
    """Images that are read, or boxes that are withdrawn."""
    found: tuple[Review, ...] = ()
    offers: frozenset[str] = frozenset()
    """What is still there to be reviewed."""


@st.composite
def events(draw: st.DrawFn) -> Event:
    kind = draw(st.sampled_from(["read", "read", "read", "push", "withdraw", "gone"]))
    place = draw(st.sampled_from(PLACES))
    if kind != "read":
        return Event(kind, place, frozenset(draw(st.sets(st.sampled_from(["a1", "a2", "b1"])))))
    known = frozenset(draw(st.sets(st.sampled_from(["11", "12"]))))
    found = tuple(review for id in sorted(known) for review in draw(reviews(id)))
    there = frozenset(draw(st.sets(st.sampled_from(OFFERS)))) | {review.offer for review in found}
    return Event(kind, place, known, found, there)


def _expected(stored: Iterable[Review], tool_id: str) -> dict[str, str]:
    mined = {id: mined_region(id) for id in IDS[tool_id]}
    decisions = decide([r for r in stored if r.tool_id == tool_id], mined).decisions
    names = {"deleted": "rejected", "undecided": "pending"}
    return {
        id: names.get(decision.fate, decision.origin)
        for id, decision in decisions.items()
        if id in mined
    }


@settings(max_examples=60)
@given(st.lists(events(), max_size=6))
def test_the_ledger_says_what_all_reviews_say(happenings: list[Event]) -> None:
    memory: dict[Place, list[Review]] = {place: [] for place in PLACES}
    with (
        TemporaryDirectory() as folder,
        closing(Ledger(Path(folder) / "ledger.sqlite")) as ledger,
    ):
        ledger.record_push(new_push(), MINED, dataset())
        for event in happenings:
            place, before = event.place, ledger.boxes()
            if event.kind == "push":
                at = {"review_project": place.review_project, "mode": place.mode}
                ledger.record_push(new_push("run-2", **at), MINED, dataset())
            elif event.kind == "withdraw":
                ledger.withdraw(event.ids)
            elif event.kind == "gone":
                ledger.mark_gone(place)
            else:
                waiting = event.ids - {review.tool_id for review in event.found}
                ledger.record_reviews(place, PlaceReviews(event.found, waiting, event.offers))
                again = {(r.tool_id, r.review_id) for r in event.found}
                memory[place] = [
                    *(
                        r
                        for r in memory[place]
                        if r.offer not in event.offers and (r.tool_id, r.review_id) not in again
                    ),
                    *(_dated(review, memory[place]) for review in event.found),
                ]
            _check(ledger, memory)
            if event.kind != "read":
                assert _judged(before) == _judged(ledger.boxes())


def _dated(review: Review, before: Iterable[Review]) -> Review:
    """What is saved again without another box keeps its time."""
    for old in before:
        if (old.tool_id, old.review_id) == (review.tool_id, review.review_id):
            then = {r.region_id: r for r in old.regions}
            now = {r.region_id: r for r in review.regions}
            same = then.keys() == now.keys() and all(
                same_box(then[id], box) and then[id].unsure == box.unsure for id, box in now.items()
            )
            marks = (old.skipped, old.complete) == (review.skipped, review.complete)
            if same and marks and review.shown.keys() <= old.shown.keys():
                return replace(review, saved_at=min(old.saved_at, review.saved_at))
    return review


def _judged(boxes: Sequence[LedgerBox]) -> dict[str, object]:
    return {box.region_id: (box.outcome, box.final) for box in boxes if box.is_judged}


def _check(ledger: Ledger, memory: Mapping[Place, Sequence[Review]]) -> None:
    boxes = {box.region_id: box for box in ledger.boxes()}
    stored = [review for reviews in memory.values() for review in reviews]
    elsewhere = [r for place in PLACES if place.mode != "draft" for r in memory[place]]
    known = {image.tool_id: image for image in ledger.image_reviews(PLACES[0].source)}
    for tool_id, ids in IDS.items():
        said = _expected(stored, tool_id)
        for id, outcome in said.items():
            now = boxes[id].outcome
            assert now == outcome or (outcome == "pending" and now == "withdrawn")
        for id in ids:
            box = boxes[id]
            assert not box.in_source or box.is_judged
            assert (box.final is not None) == (box.outcome in ("accepted", "edited"))
            # What training and merges hear: the same, unless a saved draft said it.
            drafted = _expected(elsewhere, tool_id) != said
            if box.is_judged and not box.in_source and not drafted:
                decision = known[tool_id].verdict().decisions[id]
                assert (decision.fate == "kept") == (box.final is not None)
                assert box.final is None or decision.region == box.final
