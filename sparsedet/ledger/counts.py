"""Counts of outcomes and drawn boxes, over the ledger and by round."""

from collections.abc import Container, Iterable
from dataclasses import dataclass, field

from sparsedet.ledger.schema import LedgerBox
from sparsedet.ledger.work import DrawnBox, ReviewWork
from sparsedet.tool import OUTCOMES


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """Numbers of mined boxes by outcome, and of boxes drawn by reviewers."""

    accepted: int = 0
    edited: int = 0
    rejected: int = 0
    pending: int = 0
    withdrawn: int = 0
    """Withdrawn before anybody judged them."""
    sampled: int = 0
    """Accepted by their lot's sample, without a review."""
    drawn: int = 0
    """Boxes that reviewers drew for objects without a mined box."""
    by_category: dict[str, dict[str, int]] = field(default_factory=dict)
    """Category name (as mined or drawn) -> outcome or `drawn` -> count."""

    @property
    def total(self) -> int:
        """All mined boxes; excludes drawn ones."""
        return self.judged + self.pending + self.withdrawn + self.sampled

    @property
    def judged(self) -> int:
        """Boxes decided by a reviewer."""
        return self.accepted + self.edited + self.rejected

    @property
    def precision(self) -> float | None:
        """Share of judged boxes that show an object, 0 to 1; None if none is judged.

        Includes edited boxes: only their class or edges were off.
        """
        return (self.accepted + self.edited) / self.judged if self.judged else None

    def categories(self) -> dict[str, "OutcomeCounts"]:
        """Return the counts of each category, by name."""
        return {
            name: OutcomeCounts(**counts, by_category={name: counts})
            for name, counts in sorted(self.by_category.items())
        }


@dataclass(frozen=True, slots=True)
class RoundCounts:
    """Outcomes of one round's boxes, and the review work in it."""

    round: int | None
    """None: outside of rounds."""
    outcomes: OutcomeCounts = field(default_factory=OutcomeCounts)
    """Outcomes of boxes mined in the round; drawn ones are from its reviews."""
    reviewed_images: int = 0
    """Images reviewed in the round, including those without mined boxes."""
    seconds: float = 0.0
    """Time that reviewers spent on these images."""

    @property
    def precision(self) -> float | None:
        """Share of judged boxes that show an object, 0 to 1; None if none is judged."""
        return self.outcomes.precision


def count_outcomes(boxes: Iterable[LedgerBox], drawn: Iterable[DrawnBox] = ()) -> OutcomeCounts:
    """Count the outcomes of mined boxes, and drawn boxes."""
    totals = dict.fromkeys((*OUTCOMES, "drawn"), 0)
    by_category: dict[str, dict[str, int]] = {}

    def count(category: str, name: str) -> None:
        totals[name] += 1
        by_category.setdefault(category, dict.fromkeys(totals, 0))[name] += 1

    for box in boxes:
        count(box.category, box.outcome)
    for one in drawn:
        count(one.category, "drawn")
    return OutcomeCounts(**totals, by_category=by_category)


def count_rounds(
    boxes: Iterable[LedgerBox], drawn: Iterable[DrawnBox], work: Iterable[ReviewWork]
) -> list[RoundCounts]:
    """Count per round, oldest first; pushes outside of rounds come last.

    Args:
        boxes: all mined boxes of the ledger.
        drawn: all drawn boxes.
        work: all reviews.
    """
    mined_in: dict[int | None, list[LedgerBox]] = {}
    drawn_in: dict[int | None, list[DrawnBox]] = {}
    reviewed_in: dict[int | None, list[_Reviewed]] = {}
    for box in boxes:
        mined_in.setdefault(box.round, []).append(box)
    for one in drawn:
        drawn_in.setdefault(one.round, []).append(one)
    reviews = [_Reviewed(one.tool_id, one.review_id, one.round, one.seconds or 0.0) for one in work]
    known = {(review.image, review.review_id) for review in reviews}
    all_boxes = (box for boxes in mined_in.values() for box in boxes)
    for review in (*reviews, *_remembered(all_boxes, known)):
        reviewed_in.setdefault(review.round, []).append(review)
    rounds = mined_in.keys() | drawn_in.keys() | reviewed_in.keys()
    numbers = sorted(number for number in rounds if number is not None)
    return [
        RoundCounts(
            round=number,
            outcomes=count_outcomes(mined_in.get(number, ()), drawn_in.get(number, ())),
            reviewed_images=len({review.image for review in reviewed_in.get(number, ())}),
            seconds=sum((review.seconds for review in reviewed_in.get(number, ())), 0.0),
        )
        for number in (*numbers, *([None] if None in rounds else []))
    ]


@dataclass(frozen=True, slots=True)
class _Reviewed:
    """A review of an image, and the round in which it was made."""

    image: str
    review_id: str | None
    round: int | None
    seconds: float


def _remembered(
    boxes: Iterable[LedgerBox], known: Container[tuple[str, str | None]]
) -> list[_Reviewed]:
    """Return reviews that are known only from the boxes they settled.

    Older ledgers stored outcomes, not reviews. A review's time is stored with each of its boxes; it
    was made in the newest round of these.
    """
    found: dict[tuple[str, str | None, object], _Reviewed] = {}
    for box in boxes:
        # A reviewed box is still pending if the reviewer was unsure.
        if not box.is_judged and box.reviewer is None and box.seconds is None:
            continue
        if box.outcome == "sampled":
            continue
        if (box.image_tool_id, box.review_id) in known:
            continue
        key = box.image_tool_id, box.reviewer, box.review_id or box.push_id
        before = found.get(key)
        rounds = (box.round, before.round if before else None)
        newest = max((number for number in rounds if number is not None), default=None)
        seconds = max(box.seconds or 0.0, before.seconds if before else 0.0)
        found[key] = _Reviewed(box.image_tool_id, box.review_id, newest, seconds)
    return list(found.values())
