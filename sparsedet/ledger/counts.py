"""How many mined boxes came to which end, over the whole ledger and by round."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sparsedet.ledger.tables import LedgerBox


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """How many mined boxes came to which end."""

    accepted: int = 0
    edited: int = 0
    rejected: int = 0
    pending: int = 0
    by_category: dict[str, dict[str, int]] = field(default_factory=dict)
    """Category name (as mined) -> outcome -> count."""

    @property
    def total(self) -> int:
        """All mined boxes."""
        return self.accepted + self.edited + self.rejected + self.pending

    @property
    def precision(self) -> float | None:
        """Share of the judged boxes that show an object, 0 to 1; None where none is judged.

        An edited box shows one too: its class or its edges were off.
        """
        judged = self.total - self.pending
        return (self.accepted + self.edited) / judged if judged else None

    def categories(self) -> dict[str, "OutcomeCounts"]:
        """Return the counts of each category, by name."""
        return {
            name: OutcomeCounts(**counts, by_category={name: counts})
            for name, counts in sorted(self.by_category.items())
        }


@dataclass(frozen=True, slots=True)
class RoundCounts:
    """What reviewers made of the boxes of one round."""

    round: int | None
    """None: boxes that were pushed outside of rounds."""
    outcomes: OutcomeCounts = field(default_factory=OutcomeCounts)
    reviewed_images: int = 0
    seconds: float = 0.0
    """Time that reviewers spent on these images."""

    @property
    def precision(self) -> float | None:
        """Share of the judged boxes that show an object, 0 to 1; None where none is judged."""
        return self.outcomes.precision


def count_outcomes(boxes: Iterable[LedgerBox]) -> OutcomeCounts:
    """Count the outcomes of `boxes`."""
    totals = {"accepted": 0, "edited": 0, "rejected": 0, "pending": 0}
    by_category: dict[str, dict[str, int]] = {}
    for box in boxes:
        totals[box.outcome] += 1
        category = by_category.setdefault(box.category, dict.fromkeys(totals, 0))
        category[box.outcome] += 1
    return OutcomeCounts(**totals, by_category=by_category)


def count_rounds(boxes: Iterable[LedgerBox]) -> list[RoundCounts]:
    """Count the outcomes of each round, the oldest first and boxes without a round last."""
    by_round: dict[int | None, list[LedgerBox]] = {}
    for box in boxes:
        by_round.setdefault(box.round, []).append(box)
    reviews = _reviews(box for boxes in by_round.values() for box in boxes)
    numbers = sorted(number for number in by_round if number is not None)
    return [
        RoundCounts(
            round=number,
            outcomes=count_outcomes(by_round[number]),
            reviewed_images=len({r.image for r in reviews if r.round == number}),
            seconds=sum((r.seconds for r in reviews if r.round == number), 0.0),
        )
        for number in (*numbers, *([None] if None in by_round else []))
    ]


@dataclass(frozen=True, slots=True)
class _Review:
    """A review of an image, which may have settled boxes of several rounds."""

    image: str
    round: int | None
    """The newest of them: that in which it was made."""
    seconds: float


def _reviews(boxes: Iterable[LedgerBox]) -> list[_Review]:
    """Return the reviews that settled `boxes`, each once: its time stands at all of its boxes."""
    found: dict[tuple[str, str | None, object], _Review] = {}
    for box in boxes:
        # A reviewed box is pending still when the reviewer was unsure.
        if box.outcome == "pending" and box.reviewer is None and box.seconds is None:
            continue
        key = box.image_tool_id, box.reviewer, box.review_id or box.push_id
        known = found.get(key)
        rounds = (box.round, known.round if known else None)
        newest = max((number for number in rounds if number is not None), default=None)
        seconds = max(box.seconds or 0.0, known.seconds if known else 0.0)
        found[key] = _Review(box.image_tool_id, newest, seconds)
    return list(found.values())
