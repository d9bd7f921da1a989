"""Outcomes of mined boxes: settled from the reviews, and counted over the ledger and by round."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from sparsedet.ledger.schema import LedgerBox, Place
from sparsedet.reviews import AnnotationRule, Decision, Review, Written, decide, same_box
from sparsedet.tool import OUTCOMES, Outcome


def settle(
    boxes: Collection[LedgerBox],
    reviews: Collection[tuple[Place, Review]],
    rule: AnnotationRule,
    *,
    written: Written,
    withdrawn: Collection[str],
) -> None:
    """Set the outcomes of the mined boxes of an image from all of its reviews.

    A box that the reviews say nothing of stays as it is, unless the one that settled it was
    withdrawn.

    Args:
        boxes: all of the image; are changed.
        reviews: of the image, with the place where each was made.
        rule: for reviews made side by side.
        written: how the last merge left the image.
        withdrawn: ids of reviews that no longer stand.
    """
    mined = {box.region_id: box.mined for box in boxes}
    verdict = decide((review for _, review in reviews), mined, rule)
    # A combined review is none of those that were read, so they are compared by their ids.
    drafted = {_key(review) for place, review in reviews if place.mode == "draft"}
    for box in boxes:
        decision = verdict.decisions.get(box.region_id)
        if decision is not None:
            _apply(box, decision, written, in_source=_key(decision.review) in drafted)
        elif box.review_id in withdrawn:
            _set(box, "withdrawn" if box.outcome == "withdrawn" else "pending", None)


def is_written(box: LedgerBox, written: Written) -> bool:
    """Return whether a merge left a judged box as its reviewers want it."""
    if box.region_id not in written.boxes:
        return False
    left, final = written.boxes[box.region_id], box.final
    return left is final is None or (
        left is not None and final is not None and same_box(left, final)
    )


def _apply(box: LedgerBox, decision: Decision, written: Written, *, in_source: bool) -> None:
    before = box.outcome, box.final
    if decision.fate == "kept":
        _set(box, "edited" if decision.origin == "edited" else "accepted", decision)
    elif decision.fate == "deleted":
        _set(box, "rejected", decision)
    else:
        # Undecided boxes are put up again, but not what was withdrawn before.
        _set(box, "withdrawn" if box.outcome == "withdrawn" else "pending", decision)
    if in_source and box.is_judged:
        box.in_source = True
    elif before != (box.outcome, box.final):
        # A review that changed after it was merged has to be merged again.
        box.in_source = box.is_judged and is_written(box, written)


def _set(box: LedgerBox, outcome: Outcome, decision: Decision | None) -> None:
    box.outcome = outcome
    kept = decision.region if decision is not None and decision.fate == "kept" else None
    box.final_category = kept.category if kept else None
    edges = kept.xyxy if kept else (None, None, None, None)
    box.final_left, box.final_top, box.final_right, box.final_bottom = edges
    review = decision.review if decision is not None else None
    box.reviewer = review.reviewer if review else None
    box.review_id = review.review_id if review else None
    box.seconds = review.seconds if review else None
    if not box.is_judged:
        box.in_source = False


def _key(review: Review) -> tuple[str, str]:
    return review.offer, review.review_id


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """How many mined boxes came to which end."""

    accepted: int = 0
    edited: int = 0
    rejected: int = 0
    pending: int = 0
    withdrawn: int = 0
    """Taken back before anybody judged them."""
    by_category: dict[str, dict[str, int]] = field(default_factory=dict)
    """Category name (as mined) -> outcome -> count."""

    @property
    def total(self) -> int:
        """All mined boxes."""
        return self.judged + self.pending + self.withdrawn

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
    totals: dict[str, int] = dict.fromkeys(OUTCOMES, 0)
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
        if not box.is_judged and box.reviewer is None and box.seconds is None:
            continue
        key = box.image_tool_id, box.reviewer, box.review_id or box.push_id
        known = found.get(key)
        rounds = (box.round, known.round if known else None)
        newest = max((number for number in rounds if number is not None), default=None)
        seconds = max(box.seconds or 0.0, known.seconds if known else 0.0)
        found[key] = _Review(box.image_tool_id, newest, seconds)
    return list(found.values())
