"""Reviews as work: in which round each was made, what was done in it, and what was drawn."""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from sparsedet.annotations import XYXY
from sparsedet.ledger.schema import LedgerBox, Push, QueuedImage, Source
from sparsedet.ledger.stored_reviews import StoredReviews, time_of
from sparsedet.reviews import AnnotationRule, Review, ReviewedRegion, decide, same_box

_Image = tuple[Source, str]
"""An annotated project, and the tool id of one of its images."""


@dataclass(frozen=True, slots=True)
class ReviewWork:
    """What one person did in one submitted review."""

    tool_id: str
    """Of the image."""
    round: int | None
    """The newest that had put the image up when the review was saved; None: it went up outside of
    rounds."""
    seconds: float | None
    """Time spent; None: not measured."""
    shown: int
    """Mined boxes that waited for a decision."""
    corrected: int
    """Boxes that were changed or deleted, mined ones and people's."""
    drawn: int
    """Boxes that were added."""
    complete: bool
    """The reviewer said that every object has a box."""
    audit: bool
    """The image was drawn at random, and shown without mined boxes."""
    saved_at: str
    """ISO 8601 with time zone; empty: unknown."""
    review_id: str
    """The tool's own."""
    partial: bool = False
    """Boxes of the image were judged on contact sheets; the image itself was not opened."""


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """A box that a reviewer drew, and that stands."""

    tool_id: str
    """Of the image."""
    category: str
    xyxy: XYXY
    """Absolute pixels of the upright image."""
    round: int | None
    """As `ReviewWork.round`."""
    review_id: str
    """The review that left it so."""
    region_id: str
    """Its id in that review, and in the annotated project once it is merged."""

    @property
    def region(self) -> ReviewedRegion:
        """The box as reviewers left it."""
        return ReviewedRegion(self.region_id, self.category, self.xyxy)


class ReviewRounds:
    """Knows in which round an image was reviewed.

    Args:
        session: for reading at least.
        boxes: all of the ledger.
    """

    def __init__(self, session: Session, boxes: Iterable[LedgerBox]) -> None:
        self._began: dict[int | None, datetime] = {}
        for push in session.scalars(select(Push).order_by(Push.created_at)):
            # SQLite keeps no time zone.
            self._began.setdefault(push.round, push.created_at.replace(tzinfo=UTC))
        self._rounds: dict[_Image, set[int | None]] = {}
        self._mined: dict[_Image, dict[str, int | None]] = {}
        self._audits: set[tuple[_Image, int | None]] = set()
        for box in boxes:
            image = box.push.place.source, box.image_tool_id
            # A box that moved to another place went up in two rounds.
            self._rounds.setdefault(image, set()).update((box.round, box.push.round))
            self._mined.setdefault(image, {})[box.region_id] = box.round
        for row in session.scalars(select(QueuedImage)):
            image = row.push.place.source, row.image_tool_id
            self._rounds.setdefault(image, set()).add(row.push.round)
            if row.audit:
                self._audits.add((image, row.push.round))

    def round_of(self, source: Source, review: Review) -> int | None:
        """Return the newest round that had put the image up when the review was saved.

        Where none had, or that is not known, it is the newest of all. A review that shows mined
        boxes, but none of a round that mined some on the image, is of another round.
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
        """Return whether an image went up in a round as an audit image."""
        return ((source, tool_id), number) in self._audits


def review_work(stored: StoredReviews, mined: Set[str], rounds: ReviewRounds) -> list[ReviewWork]:
    """Return what was done in each submitted review, the oldest first.

    Lots that were accepted by their sample are nobody's work.

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
    """Return the boxes that reviewers drew, as all reviews together leave them.

    Args:
        stored: all reviews of the ledger.
        boxes: all mined boxes of the ledger.
        rounds: of the same ledger.
        rule: for reviews made side by side.
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
    """Return the submitted reviews of each image; tools of several projects may number alike."""
    found: dict[_Image, list[Review]] = {}
    for tool_id, reviews in stored.items():
        for place, review in reviews:
            if not review.skipped:
                found.setdefault((place.source, tool_id), []).append(review)
    return found


def _kept_before(review: Review, reviews: Sequence[Review]) -> set[str]:
    """Return ids of boxes that earlier reviews of other offers kept: these wait for nobody."""
    kept: set[str] = set()
    for other in reviews:
        is_beside = (other.offer or other.review_id) == (review.offer or review.review_id)
        if not is_beside and time_of(other.saved_at) < time_of(review.saved_at):
            kept |= {region.region_id for region in other.regions if not region.unsure}
    return kept


def _is_changed(shown: ReviewedRegion, left: ReviewedRegion | None) -> bool:
    return left is None or not (left.unsure or same_box(shown, left))
