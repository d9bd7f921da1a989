"""Check a ledger for contradictions, and repair them from its own content."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import get_args

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from sparsedet.annotations import Dataset
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import SparseDetError
from sparsedet.ledger.ledger_file import LedgerFile
from sparsedet.ledger.outcomes import settle, unsettle
from sparsedet.ledger.pushes import boxes_by_image, on_images, restore_push
from sparsedet.ledger.queue import QueueEntry, with_images
from sparsedet.ledger.review_json import read_review, read_written
from sparsedet.ledger.schema import (
    LedgerBox,
    Place,
    Push,
    Source,
    SourceImage,
    StoredReview,
    of_source,
)
from sparsedet.ledger.stored_reviews import stored_reviews
from sparsedet.reviews import AnnotationRule, Decision, Review, ReviewedRegion, decide
from sparsedet.tool import OUTCOMES

RULES: tuple[AnnotationRule, ...] = get_args(AnnotationRule)
_MOVED_AT_MOST = 8.0
"""Pixels: an accepted box moved by less than one, and its image may have grown since."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A mined box whose outcome contradicts the stored reviews."""

    region_id: str
    file_name: str
    outcome: str
    """The ledger's outcome."""
    reviews: str
    """What the reviews say, as text."""
    is_lost: bool
    """Whether the review that settled it is not stored: reading reviews again restores it."""


class LedgerCheckup(LedgerFile):
    """A ledger to check, or to repair from its own content."""

    def has_pushes(self) -> bool:
        """Return whether anything was ever pushed, by the ledger."""
        with self._reading() as session:
            return session.scalar(select(Push.id).limit(1)) is not None

    def has_reviews(self) -> bool:
        """Return whether any review is stored."""
        with self._reading() as session:
            return session.scalar(select(StoredReview.id).limit(1)) is not None

    def unreadable_rows(self) -> dict[str, list[int]]:
        """Return table -> row ids of rows with invalid values."""
        found: dict[str, list[int]] = {}
        with self._reading() as session:
            for id, content in session.execute(select(StoredReview.id, StoredReview.content)):
                if not _can(read_review, content):
                    found.setdefault("reviews", []).append(id)
            for id, written in session.execute(select(SourceImage.id, SourceImage.written)):
                if not _can(read_written, written):
                    found.setdefault("source_images", []).append(id)
            bad = ", ".join(f"'{outcome}'" for outcome in OUTCOMES)
            rows = session.execute(text(f"SELECT rowid FROM boxes WHERE outcome NOT IN ({bad})"))
            found |= {"boxes": ids} if (ids := [id for (id,) in rows]) else {}
        return found

    def doubled_reviews(self) -> list[int]:
        """Return row ids of reviews that are stored twice, identically."""
        seen: set[tuple[object, ...]] = set()
        doubled = []
        with self._reading() as session:
            for row in session.scalars(select(StoredReview).order_by(StoredReview.id)):
                key = (row.place, row.image_tool_id, row.review_id, row.skipped, row.content)
                if key in seen:
                    doubled.append(row.id)
                seen.add(key)
        return doubled

    def doubled_pushes(self) -> list[Push]:
        """Return pushes recorded twice: one model's boxes of a round at one place."""
        seen: set[tuple[object, ...]] = set()
        doubled = []
        with self._reading() as session:
            for push in session.scalars(select(Push).order_by(Push.id)):
                key = (push.place, push.model_version, push.round)
                if key in seen:
                    doubled.append(push)
                seen.add(key)
        return doubled

    def contradictions(self) -> list[Contradiction]:
        """Return boxes whose outcomes match the reviews under no rule for parallel reviews.

        The rule may have been changed since the reviews were read.
        """
        with self._reading() as session:
            return [
                one
                for source in _sources(session)
                for one in _contradictions(
                    boxes_by_image(session, source), stored_reviews(session, source)
                )
            ]

    def settle_again(self, rule: AnnotationRule) -> int:
        """Settle contradicting boxes from the reviews; return their number.

        Boxes whose review is not stored stay as they are.
        """
        wrong = {one.region_id for one in self.contradictions() if not one.is_lost}
        with self._writing() as session:
            for source in _sources(session):
                reviews = stored_reviews(session, source)
                left = select(SourceImage).where(of_source(SourceImage, source))
                written = {row.image_tool_id: row.written for row in session.scalars(left)}
                for tool_id, own in boxes_by_image(session, source).items():
                    if wrong.isdisjoint(box.region_id for box in own):
                        continue
                    for box in own:
                        if box.region_id in wrong:
                            unsettle(box)
                    settle(
                        own,
                        reviews.get(tool_id, []),
                        rule,
                        written=read_written(written.get(tool_id)),
                        withdrawn=frozenset(),
                    )
        return len(wrong)

    def remove(self, table: str, rows: Collection[int]) -> int:
        """Remove rows of a table by their row ids; return the number of removed rows."""
        if table not in Push.metadata.tables:
            raise SparseDetError(f"{self.path}: no table {table}")
        with self._writing() as session:
            for row in rows:
                session.execute(
                    text(f"DELETE FROM {table} WHERE rowid = :row"),
                    {"row": row},
                )
        return len(rows)

    def join_pushes(self) -> int:
        """Join duplicate pushes, keeping the boxes and queues of both; return the number
        removed."""
        doubled = self.doubled_pushes()
        with self._writing() as session:
            for push in doubled:
                first = session.scalars(
                    select(Push)
                    .filter_by(
                        **asdict(push.place), model_version=push.model_version, round=push.round
                    )
                    .order_by(Push.id)
                ).first()
                assert first is not None
                for table in ("boxes", "queued_images"):
                    session.execute(
                        text(f"UPDATE OR IGNORE {table} SET push_id = :to WHERE push_id = :of"),
                        {"to": first.id, "of": push.id},
                    )
                session.execute(
                    text("DELETE FROM queued_images WHERE push_id = :of"), {"of": push.id}
                )
                session.execute(delete(Push).where(Push.id == push.id))
        return len(doubled)

    def restore_push(
        self,
        push: Push,
        mined: Iterable[MinedBox],
        dataset: Dataset,
        queue: Sequence[QueueEntry] = (),
        *,
        skipped: Collection[str] = frozenset(),
        withdrawn: Collection[str] = frozenset(),
    ) -> int:
        """Add what the ledger lacks of a push, without changing what it has.

        Args:
            push: the place, and the model that mined the boxes.
            mined: the boxes.
            dataset: the images that they were mined on.
            queue: the images that people were asked to open, in order.
            skipped: tool ids of images that could not be pushed.
            withdrawn: region ids of boxes withdrawn since.

        Returns:
            The number of boxes added.
        """
        boxes = on_images(mined, dataset, skipped)
        asked = with_images(queue, dataset, skipped)
        with self._writing() as session:
            return restore_push(session, push, boxes, asked, withdrawn)


def _sources(session: Session) -> list[Source]:
    """Return the annotated projects that boxes were pushed from."""
    pushes = session.scalars(select(Push).order_by(Push.id))
    return list(dict.fromkeys(push.place.source for push in pushes))


def _contradictions(
    boxes: Mapping[str, list[LedgerBox]], reviews: Mapping[str, list[tuple[Place, Review]]]
) -> list[Contradiction]:
    found = []
    for tool_id, own in boxes.items():
        stored = [review for _, review in reviews.get(tool_id, ())]
        mined = {box.region_id: box.mined for box in own}
        wrong = own
        for rule in RULES:
            decisions = decide(stored, mined, rule).decisions
            wrong = [box for box in wrong if not _agrees(box, decisions.get(box.region_id), stored)]
            if not wrong:
                break
        decisions = decide(stored, mined).decisions
        found += [_described(box, decisions.get(box.region_id)) for box in wrong]
    return found


def _agrees(box: LedgerBox, decision: Decision | None, reviews: Sequence[Review]) -> bool:
    """Return whether the reviews of a box's image can lead to its outcome."""
    if decision is None:
        # Reviews of a deleted place, from before reviews were stored.
        known = {review.review_id for review in reviews}
        return not box.is_decided or box.push.gone or box.review_id in known
    if decision.fate == "deleted":
        return box.outcome == "rejected"
    if decision.fate == "undecided":
        return not box.is_decided
    if decision.origin == "sampled":
        return box.outcome == "sampled"
    # Whether it counts as edited depends on its image's former size.
    return box.outcome in ("accepted", "edited") and _is_near(box.final, decision.region, box)


def _is_near(final: ReviewedRegion | None, left: ReviewedRegion, box: LedgerBox) -> bool:
    if final is None or final.category != left.category:
        return False
    if box.outcome == "accepted" and not _within(final, box.mined):
        return False
    return _within(final, left)


def _within(one: ReviewedRegion, other: ReviewedRegion) -> bool:
    edges = zip(one.xyxy, other.xyxy, strict=True)
    return one.category == other.category and all(abs(a - b) <= _MOVED_AT_MOST for a, b in edges)


def _described(box: LedgerBox, decision: Decision | None) -> Contradiction:
    is_lost = decision is None and box.review_id is not None
    if decision is None:
        words = "the review that settled it is not stored" if is_lost else "no review says so"
    else:
        fates = {"kept": "it was kept", "deleted": "it was deleted", "undecided": "it is undecided"}
        words = f"review {decision.review.review_id} says that {fates[decision.fate]}"
        if decision.fate == "kept" and box.outcome in ("accepted", "edited"):
            words += " elsewhere, or as another class"
    return Contradiction(box.region_id, box.file_name, box.outcome, words, is_lost)


def _can(read: object, content: str | None) -> bool:
    assert callable(read)
    try:
        read(content)
    except (SparseDetError, KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return False
    return True
