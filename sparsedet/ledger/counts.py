"""What became of mined boxes, and what reviewers drew, counted over the ledger and by round."""

from collections.abc import Container, Iterable
from dataclasses import dataclass, field

from sparsedet.ledger.schema import LedgerBox
from sparsedet.ledger.work import DrawnBox, ReviewWork
from sparsedet.tool import OUTCOMES


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """How many mined boxes came to which end, and how many reviewers drew."""

    accepted: int = 0
    edited: int = 0
    rejected: int = 0
    pending: int = 0
    withdrawn: int = 0
    """Taken back before anybody judged them."""
    sampled: int = 0
    """Accepted by the sample of their lot: nobody saw them."""
    drawn: int = 0
    """Boxes that reviewers drew, of objects that nothing was mined on."""
    by_category: dict[str, dict[str, int]] = field(default_factory=dict)
    """Category name (as mined or drawn) -> outcome or `drawn` -> count."""

    @property
    def total(self) -> int:
        """All mined boxes; drawn ones are none."""
        return self.judged + self.pending + self.withdrawn + self.sampled

    @property
    def judged(self) -> int:
        """Boxes that a reviewer decided."""
        return self.accepted + self.edited + self.rejected

    @property
    def precision(self) -> float | None:
        """Share of the judged boxes that show an object, 0 to 1; None where none is judged.

        An edited box shows one too: its class or its edges were off.
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
    """What reviewers made of the boxes of one round, and what they did in it."""

    round: int | None
    """None: outside of rounds."""
    outcomes: OutcomeCounts = field(default_factory=OutcomeCounts)
    """Of the boxes that were mined in the round; drawn ones are of its reviews."""
    reviewed_images: int = 0
    """Images with a review in the round, also those without mined boxes."""
    seconds: float = 0.0
    """Time that reviewers spent on these images."""

    @property
    def precision(self) -> float | None:
        """Share of the judged boxes that show an object, 0 to 1; None where none is judged."""
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
    """Count each round, the oldest first, and what was outside of rounds last.

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
    """A review of an image, in the round in which it was made."""

    image: str
    review_id: str | None
    round: int | None
    seconds: float


def _remembered(
    boxes: Iterable[LedgerBox], known: Container[tuple[str, str | None]]
) -> list[_Reviewed]:
    """Return the reviews that only the boxes remember which they settled.

    Older ledgers kept the outcomes and not the reviews. The time of a review stands at each of its
    boxes; it was made in the newest round of these.
    """
    found: dict[tuple[str, str | None, object], _Reviewed] = {}
    for box in boxes:
        # A reviewed box is pending still when the reviewer was unsure.
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
