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
    numbers = sorted(number for number in by_round if number is not None)
    return [
        _count_round(number, by_round[number])
        for number in (*numbers, *([None] if None in by_round else []))
    ]


def _count_round(number: int | None, boxes: list[LedgerBox]) -> RoundCounts:
    # A review's time stands at each box of its image, and grows when the reviewer comes back.
    spent: dict[tuple[int, str, str | None], float] = {}
    for box in boxes:
        # A reviewed box is pending still when the reviewer was unsure.
        if box.outcome != "pending" or box.reviewer is not None or box.seconds is not None:
            review = box.push_id, box.image_tool_id, box.reviewer
            spent[review] = max(spent.get(review, 0.0), box.seconds or 0.0)
    return RoundCounts(
        round=number,
        outcomes=count_outcomes(boxes),
        reviewed_images=len({image for _, image, _ in spent}),
        seconds=sum(spent.values(), 0.0),
    )
