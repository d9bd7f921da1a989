"""The stored reviews: everything last read at each place.

A place may forget an image, or be deleted; its reviews are still needed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from sparsedet.ledger.queue import queued
from sparsedet.ledger.review_json import read_review, review_text
from sparsedet.ledger.schema import (
    LedgerBox,
    Place,
    Push,
    Source,
    StoredReview,
    at_place,
    of_source,
)
from sparsedet.push_modes import PlaceReviews
from sparsedet.reviews import (
    NOTHING_WRITTEN,
    AnnotationRule,
    Review,
    ReviewedRegion,
    Verdict,
    Written,
    decide,
    same_box,
)

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ImageReviews:
    """The ledger's record of a reviewed image, for training and merges."""

    tool_id: str
    reviews: tuple[Review, ...]
    """All its reviews, including skipped ones. Saved drafts are excluded: they are the source
    itself."""
    mined: Mapping[str, ReviewedRegion]
    """Region id -> mined box as it was pushed, for all boxes of the image."""
    size: tuple[int, int] | None = None
    """Upright (width, height) in pixels that all boxes refer to; None: unknown."""
    written: Written = NOTHING_WRITTEN
    """The state after the last merge."""

    def verdict(self, rule: AnnotationRule = "ground-truth-first") -> Verdict:
        """Return the combined result of the reviews, parallel ones combined by `rule`."""
        return decide(self.reviews, self.mined, rule)


StoredReviews = dict[str, list[tuple[Place, Review]]]
"""Tool id of an image -> its reviews with their places."""


def replace_reviews(session: Session, place: Place, found: PlaceReviews) -> dict[str, set[str]]:
    """Replace a place's stored reviews by those read now.

    A review that was not read again is withdrawn if its offer still exists. Otherwise its offer was
    deleted, and it stays. Only a change of boxes updates `Review.saved_at`: starring an old review,
    or saving it unchanged, adds nothing.

    Returns:
        Tool id of an image -> ids of its reviews that were withdrawn, or became skips.
    """
    read: dict[tuple[str, str], list[Review]] = {}
    for review in found.reviews:
        read.setdefault((review.tool_id, review.review_id), []).append(review)
    stored: dict[tuple[str, str], list[StoredReview]] = {}
    for row in session.scalars(select(StoredReview).where(at_place(StoredReview, place))):
        stored.setdefault((row.image_tool_id, row.review_id), []).append(row)
    # A place may still use an image's old id.
    again = {review.review_id for review in found.reviews}
    withdrawn: dict[str, set[str]] = {}
    for key, rows in stored.items():
        reviews = read.get(key, [])
        # Most are unchanged, and a year of reviews is much to write.
        if [review_text(review) for review in reviews] == [row.content for row in rows]:
            del read[key]
            continue
        before = [read_review(row.content) for row in rows]
        is_offered = any(review.offer in found.offers for review in before)
        if not reviews and (key[1] in again or not is_offered):
            continue
        if all(review.skipped for review in reviews):
            withdrawn.setdefault(key[0], set()).add(key[1])
        for row in rows:
            session.delete(row)
        if key in read:
            read[key] = [_dated(review, before) for review in reviews]
    session.add_all(_row(place, review) for reviews in read.values() for review in reviews)
    session.flush()
    return withdrawn


def stored_reviews(session: Session, source: Source | None = None) -> StoredReviews:
    """Return all reviews of the images of a project, or of all, at any place."""
    query = select(StoredReview).order_by(StoredReview.id)
    if source is not None:
        query = query.where(of_source(StoredReview, source))
    found: StoredReviews = {}
    for row in session.scalars(query):
        found.setdefault(row.image_tool_id, []).append((row.place, read_review(row.content)))
    return found


def skipped_images(session: Session) -> frozenset[str]:
    """Return the images waiting for a reviewer that everyone who opened them skipped.

    These are images with pending boxes, and images without any in the newest queue of a place.
    """
    pending = session.scalars(select(LedgerBox).where(LedgerBox.outcome == "pending"))
    asked = (image for image in queued(session) if not image.boxes)
    newest = {push.place: push.id for push in session.scalars(select(Push).order_by(Push.id))}
    waiting = {
        (row.image_tool_id, row.push.place)
        for row in (*pending, *(i for i in asked if i.push_id == newest[i.push.place]))
        if not row.push.gone
    }
    opened: dict[tuple[str, Place], bool] = {}
    rows = session.scalars(select(StoredReview).options(defer(StoredReview.content)))
    for row in rows:
        key = row.image_tool_id, row.place
        opened[key] = opened.get(key, True) and row.skipped
    return frozenset(key[0] for key in waiting if opened.get(key, False))


def image_reviews(
    boxes: Mapping[str, list[LedgerBox]],
    stored: StoredReviews,
    written: Mapping[str, Written],
    sizes: Mapping[str, tuple[int, int]],
) -> list[ImageReviews]:
    """Return every image of a project that was reviewed outside of its source.

    Args:
        boxes: tool id of an image -> its mined boxes.
        stored: its reviews.
        written: its merge record.
        sizes: its upright (width, height) in pixels, if it was queued.
    """
    found = []
    for tool_id in sorted({*boxes, *stored}):
        mined = boxes.get(tool_id, [])
        reviews = [review for place, review in stored.get(tool_id, ()) if place.mode != "draft"]
        reviews = [*_remembered(tool_id, mined, reviews), *reviews]
        if reviews:
            found.append(
                ImageReviews(
                    tool_id,
                    tuple(reviews),
                    {box.region_id: box.mined for box in mined},
                    next((box.size for box in mined if box.size), sizes.get(tool_id)),
                    written.get(tool_id, NOTHING_WRITTEN),
                )
            )
    return found


def _remembered(
    tool_id: str, boxes: Iterable[LedgerBox], reviews: Iterable[Review]
) -> list[Review]:
    """Return a review for outcomes that only the ledger has, if there are any.

    Older ledgers stored outcomes, not reviews. They become one review, so that two overlapping
    accepted boxes both stay.
    """
    mentioned: set[str] = set()
    for review in reviews:
        if not review.skipped:
            mentioned |= {*review.shown, *(region.region_id for region in review.regions)}
    lost = [
        box
        for box in boxes
        if box.is_judged and not box.in_source and box.region_id not in mentioned
    ]
    if not lost:
        return []
    reviewers = {box.reviewer for box in lost}
    return [
        Review(
            tool_id,
            f"ledger-{tool_id}",
            shown={box.region_id: box.mined for box in lost},
            regions=tuple(box.final for box in lost if box.final is not None),
            reviewer=reviewers.pop() if len(reviewers) == 1 else None,
        )
    ]


def _dated(review: Review, before: Iterable[Review]) -> Review:
    """Return a review dated when its boxes last changed."""
    times = [review.saved_at, *(old.saved_at for old in before if _says_no_more(review, old))]
    return replace(review, saved_at=min(times, key=time_of))


def time_of(saved_at: str) -> datetime:
    """Return `Review.saved_at` as a time; unknown times come first."""
    return datetime.fromisoformat(saved_at) if saved_at else _LONG_AGO


def _says_no_more(review: Review, old: Review) -> bool:
    """Return whether a review only repeats its former decisions.

    A tool may forget what was shown; that is not a decision.
    """
    return (
        _marks(review) == _marks(old)
        and _are_alike(_by_id(review), _by_id(old))
        and review.shown.keys() <= old.shown.keys()
        and _are_alike(review.shown, {id: old.shown[id] for id in review.shown})
    )


def _marks(review: Review) -> tuple[bool, bool, frozenset[str]]:
    return review.skipped, review.complete, review.complete_classes


def _by_id(review: Review) -> dict[str, ReviewedRegion]:
    return {region.region_id: region for region in review.regions}


def _are_alike(boxes: Mapping[str, ReviewedRegion], others: Mapping[str, ReviewedRegion]) -> bool:
    return boxes.keys() == others.keys() and all(
        same_box(box, others[id]) and box.unsure == others[id].unsure for id, box in boxes.items()
    )


def _row(place: Place, review: Review) -> StoredReview:
    return StoredReview(
        **asdict(place),
        image_tool_id=review.tool_id,
        review_id=review.review_id,
        skipped=review.skipped,
        content=review_text(review),
    )
