"""Outcomes of mined boxes: settled from the reviews, and counted over the ledger and by round."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sparsedet.annotations import XYXY
from sparsedet.ledger.schema import LedgerBox
from sparsedet.tool import MOVED_PIXELS, Outcome, ReviewedImage, ReviewedRegion


def judge(mined_category: str, mined: XYXY, final: ReviewedRegion | None) -> Outcome:
    """Return what became of a mined box in a submitted review.

    The tool's own idea of what was edited is not asked: only label and edges count, and a reviewer
    who left the box undecided.
    """
    if final is None:
        return "rejected"
    if final.unsure:
        return "pending"
    moved = max(abs(a - b) for a, b in zip(mined, final.xyxy, strict=True))
    return "edited" if final.category != mined_category or moved > MOVED_PIXELS else "accepted"


def settle(box: LedgerBox, reviews: Sequence[ReviewedImage], *, in_source: bool) -> None:
    """Set the outcome of a box from all reviews of its image as they stand now.

    Without any review the box is pending, also when it had an outcome before. A box that none of
    the reviews was shown stays as it is. Of several that were shown it the last one decides; where
    it only left things as they were, the credit stays with the review that made them so.

    Args:
        box: is changed.
        reviews: of the box's image, oldest first.
        in_source: the reviews are the annotated project's own annotations.
    """
    judging = [review for review in reviews if box.region_id in review.shown]
    if reviews and not judging:
        return
    before = box.outcome, box.final_category, box.final_xyxy
    review, region = _decision(judging, box.region_id)
    box.outcome = "pending" if review is None else judge(box.category, box.xyxy, region)
    kept = region if box.outcome in ("accepted", "edited") else None
    box.final_category = kept.category if kept else None
    edges = kept.xyxy if kept else (None, None, None, None)
    box.final_left, box.final_top, box.final_right, box.final_bottom = edges
    box.reviewer = review.reviewer if review else None
    box.review_id = review.review_id if review else None
    box.seconds = review.seconds if review else None
    if box.outcome == "pending":
        box.in_source = False
    elif in_source:
        box.in_source = True
    elif before != (box.outcome, box.final_category, box.final_xyxy):
        # A review that changed after it was merged has to be merged again.
        box.in_source = False


def _decision(
    judging: Sequence[ReviewedImage], region_id: str
) -> tuple[ReviewedImage | None, ReviewedRegion | None]:
    """Return the review that made a box what it is, and what is left of the box."""
    left = _region(judging[-1], region_id) if judging else None
    deciding = None
    for review in reversed(judging):
        if _region(review, region_id) != left:
            break
        deciding = review
    return deciding, left


def _region(review: ReviewedImage, region_id: str) -> ReviewedRegion | None:
    """Return what a review left of a box."""
    return next((region for region in review.regions if region.region_id == region_id), None)


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
