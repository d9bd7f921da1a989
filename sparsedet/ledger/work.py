"""Reviews as work: the round of each, its decisions, and the drawn boxes."""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from sparsedet.annotations import XYXY
from sparsedet.ledger.schema import LedgerBox, Push, QueuedImage, Source
from sparsedet.ledger.stored_reviews import StoredReviews, stored_reviews, time_of
from sparsedet.reviews import AnnotationRule, Review, ReviewedRegion, decide, same_box

_Image = tuple[Source, str]
"""An annotated project, and the tool id of one of its images."""


@dataclass(frozen=True, slots=True)
class ReviewWork:
    """One person's work in one submitted review."""

    tool_id: str
    """The image's project and tool id."""
    round: int | None
    """The newest round that had pushed the image when the review was saved; None: pushed outside of
    rounds."""
    seconds: float | None
    """Time in seconds; None: not measured."""
    shown: int
    """Number of mined boxes that waited for a decision."""
    corrected: int
    """Boxes changed or deleted, mined ones and people's."""
    drawn: int
    """Boxes added."""
    complete: bool
    """Whether the reviewer marked the image as complete."""
    audit: bool
    """Whether the image was drawn at random and shown without mined boxes."""
    saved_at: str
    """ISO 8601 with time zone; empty: unknown."""
    review_id: str
    """The tool's own review id."""
    partial: bool = False
    """Whether the image's boxes were judged on contact sheets, without opening it."""


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """A box that a reviewer drew and that still counts."""

    tool_id: str
    """The image's project and tool id."""
    category: str
    xyxy: XYXY
    """Absolute pixels of the upright image."""
    round: int | None
    """As `ReviewWork.round`."""
    review_id: str
    """The review that determined its current state."""
    region_id: str
    """Its id in that review, and in the annotated project once merged."""

    @property
    def region(self) -> ReviewedRegion:
        """The box as reviewers left it."""
        return ReviewedRegion(self.region_id, self.category, self.xyxy)


class ReviewRounds:
    """Looks up the round in which an image was reviewed.

    Args:
        session: at least for reading.
        boxes: all of the ledger.
    """

    def __init__(self, session: Session, boxes: Iterable[LedgerBox]) -> None:
        self._began: dict[int | None, datetime] = {}
        for push in session.scalars(select(Push).order_by(Push.created_at)):
            # SQLite stores no time zone.
            self._began.setdefault(push.round, push.created_at.replace(tzinfo=UTC))
        self._rounds: dict[_Image, set[int | None]] = {}
        self._mined: dict[_Image, dict[str, int | None]] = {}
        self._audits: set[tuple[_Image, int | None]] = set()
        for box in boxes:
            image = box.push.place.source, box.image_tool_id
            # A box that moved to another place was pushed in two rounds.
            self._rounds.setdefault(image, set()).update((box.round, box.push.round))
            self._mined.setdefault(image, {})[box.region_id] = box.round
        for row in session.scalars(select(QueuedImage)):
            image = row.push.place.source, row.image_tool_id
            self._rounds.setdefault(image, set()).add(row.push.round)
            if row.audit:
                self._audits.add((image, row.push.round))

    def round_of(self, source: Source, review: Review) -> int | None:
        """Return the newest round that had pushed the image when the review was saved.

        If none had, or that is unknown, return the newest of all. A review with mined boxes can't
        belong to a round that mined some on the image if none of these are among them.
        """
        image = source, review.tool_id
        mined = self._mined.get(image, {})
        shown = {mined[id] for id in review.shown if id in mined}
        rounds = self._rounds.get(image) or set(self._began)
        rounds = rounds - (set(mined.values()) - shown) if shown else rounds
        saved = time_of(review.saved_at)
        earlier = [number for number in rounds if number in self._began]
        earlier = [number for number in earlier if self._began[number] <= saved]
        return max(earlier or rounds, key=lambda number: number or -1, default=None)

    def is_audit(self, source: Source, tool_id: str, number: int | None) -> bool:
        """Return whether an image was an audit image in a round."""
        return ((source, tool_id), number) in self._audits


class Reviewed:
    """All boxes and reviews of the ledger, read once."""

    def __init__(self, session: Session) -> None:
        self.boxes = session.scalars(select(LedgerBox).order_by(LedgerBox.region_id)).all()
        self._stored = stored_reviews(session)
        self._rounds = ReviewRounds(session, self.boxes)

    def drawn(self, rule: AnnotationRule) -> list[DrawnBox]:
        """Return the boxes that reviewers drew; `rule` combines parallel reviews."""
        return drawn_boxes(self._stored, self.boxes, self._rounds, rule)

    def work(self) -> list[ReviewWork]:
        """Return the work in each submitted review, oldest first."""
        mined = {box.region_id for box in self.boxes}
        return review_work(self._stored, mined, self._rounds)


def review_work(stored: StoredReviews, mined: Set[str], rounds: ReviewRounds) -> list[ReviewWork]:
    """Return the work in each submitted review, oldest first.

    Excludes lots accepted by their sample, which are nobody's work.

    Args:
        stored: all reviews of the ledger.
        mined: ids of all mined boxes.
        rounds: of the same ledger.
    """
    work = []
    for (source, tool_id), reviews in by_image(stored).items():
        for review in reviews:
            if review.sampled:
                continue
            number = rounds.round_of(source, review)
            waiting = (review.shown.keys() & mined) - _kept_before(review, reviews)
            left = {region.region_id: region for region in review.regions}
            drawn = left.keys() - review.shown.keys() - mined
            work.append(
                ReviewWork(
                    tool_id=tool_id,
                    round=number,
                    seconds=review.seconds,
                    shown=len(waiting),
                    corrected=sum(
                        _is_changed(box, left.get(id)) for id, box in review.shown.items()
                    ),
                    drawn=sum(not left[id].unsure for id in drawn),
                    complete=review.complete,
                    audit=rounds.is_audit(source, tool_id, number),
                    saved_at=review.saved_at,
                    review_id=review.review_id,
                    partial=review.partial,
                )
            )
    return sorted(work, key=lambda one: (time_of(one.saved_at), one.tool_id, one.review_id))


def drawn_boxes(
    stored: StoredReviews,
    boxes: Iterable[LedgerBox],
    rounds: ReviewRounds,
    rule: AnnotationRule,
) -> list[DrawnBox]:
    """Return the boxes that reviewers drew, combined over all reviews.

    Args:
        stored: all reviews of the ledger.
        boxes: all mined boxes of the ledger.
        rounds: of the same ledger.
        rule: how to combine parallel reviews.
    """
    mined: dict[_Image, dict[str, ReviewedRegion]] = {}
    for row in boxes:
        image = row.push.place.source, row.image_tool_id
        mined.setdefault(image, {})[row.region_id] = row.mined
    found = []
    for (source, tool_id), reviews in by_image(stored).items():
        verdict = decide(reviews, mined.get((source, tool_id), {}), rule)
        for id in sorted(verdict.drawn & verdict.decisions.keys()):
            decision = verdict.decisions[id]
            if decision.fate == "kept":
                box, review = decision.region, decision.review
                found.append(
                    DrawnBox(
                        tool_id=tool_id,
                        category=box.category,
                        xyxy=box.xyxy,
                        round=rounds.round_of(source, review),
                        review_id=review.review_id,
                        region_id=id,
                    )
                )
    return found


def by_image(stored: StoredReviews) -> dict[_Image, list[Review]]:
    """Return submitted reviews by image; projects of a tool may use the same ids."""
    found: dict[_Image, list[Review]] = {}
    for tool_id, reviews in stored.items():
        for place, review in reviews:
            if not review.skipped:
                found.setdefault((place.source, tool_id), []).append(review)
    return found


def _kept_before(review: Review, reviews: Sequence[Review]) -> set[str]:
    """Return ids of boxes kept by earlier reviews of other offers: these are settled."""
    kept: set[str] = set()
    for other in reviews:
        is_same_offer = (other.offer or other.review_id) == (review.offer or review.review_id)
        if not is_same_offer and time_of(other.saved_at) < time_of(review.saved_at):
            kept |= {region.region_id for region in other.regions if not region.unsure}
    return kept


def _is_changed(shown: ReviewedRegion, left: ReviewedRegion | None) -> bool:
    return left is None or not (left.unsure or same_box(shown, left))
