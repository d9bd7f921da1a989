"""Reading and writing the ledger."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from sparsedet.annotations import Dataset
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.ledger import pushes, source_changes
from sparsedet.ledger.counts import OutcomeCounts, RoundCounts, count_outcomes, count_rounds
from sparsedet.ledger.ledger_file import LedgerFile
from sparsedet.ledger.outcomes import is_written, settle
from sparsedet.ledger.pushes import as_mined, boxes_by_image
from sparsedet.ledger.queue import QueueEntry, queued, queued_sizes, with_images
from sparsedet.ledger.review_json import read_written, written_text
from sparsedet.ledger.reviewers import ReviewerCounts, compare_reviewers
from sparsedet.ledger.schema import (
    LedgerBox,
    Place,
    Push,
    PushedVersion,
    QueuedImage,
    Source,
    SourceImage,
    StoredReview,
    at_place,
    named,
    of_source,
)
from sparsedet.ledger.stored_reviews import (
    ImageReviews,
    image_reviews,
    replace_reviews,
    skipped_images,
    stored_reviews,
)
from sparsedet.ledger.work import DrawnBox, ReviewRounds, ReviewWork, drawn_boxes, review_work
from sparsedet.push_modes import PlaceReviews, PushedImage
from sparsedet.reviews import NOTHING_WRITTEN, AnnotationRule, Written


class Ledger(LedgerFile):
    """The ledger of a workspace; the file is made when it is first opened.

    Several processes may use it at a time. Every method is one transaction.

    Raises:
        SparseDetError: when the file is no ledger, has the schema of another version, or can't be
            written.
    """

    def record_push(
        self,
        push: Push,
        mined: Sequence[MinedBox],
        dataset: Dataset,
        skipped: Collection[str] = frozenset(),
        digests: Mapping[str, str] | None = None,
        queue: Sequence[QueueEntry] = (),
    ) -> int:
        """Record a push, its boxes and its queue.

        Boxes that are known already stay as they are. Those of them that nobody has judged take
        the version that their image has now, and the place, when they were pushed to another one;
        withdrawn ones are pending again. A repeated push asks for the images of its new queue and
        no others.

        Args:
            push: where the boxes went, and which model mined them.
            mined: the boxes; those on audit images are not recorded, since nobody sees them.
            dataset: the images that they were mined on; needs `Image.tool_id`.
            skipped: tool ids of images that could not be pushed; they are not recorded.
            digests: tool id -> digest of the image's content, as far as it is known.
            queue: the images that people are asked to open, in order. Drafts hold mined boxes, so
                there images without any are not recorded.

        Returns:
            The number of boxes that are new to the ledger.
        """
        audited = {entry.image_id for entry in queue if entry.audit}
        shown = (box for box in mined if box.image_id not in audited)
        boxes = pushes.on_images(shown, dataset, skipped)
        asked = with_images(queue, dataset, skipped)
        with self._writing() as session:
            return pushes.record_push(session, push, boxes, asked, digests or {})

    def withdraw(self, region_ids: Collection[str]) -> int:
        """Take note that boxes are no longer up for review; return how many that concerns.

        What reviewers have judged stays so, and a review that arrives all the same counts.
        """
        with self._writing() as session:
            pending = session.scalars(
                select(LedgerBox.region_id).where(LedgerBox.outcome == "pending")
            )
            withdrawn = set(region_ids).intersection(pending)
            if withdrawn:
                rows = [{"region_id": id, "outcome": "withdrawn"} for id in withdrawn]
                session.execute(update(LedgerBox), rows)
            return len(withdrawn)

    def pushes(self) -> Sequence[Push]:
        """Return all pushes, oldest first."""
        with self._reading() as session:
            return session.scalars(select(Push).order_by(Push.id)).all()

    def places(self) -> list[Place]:
        """Return every place that was pushed to and is still there, the oldest first.

        Lots are at none: no tool has their boxes.
        """
        there = (push for push in self.pushes() if not push.gone and push.mode != "sampled")
        return list(dict.fromkeys(push.place for push in there))

    def sources(self) -> list[Source]:
        """Return every project that boxes were pushed from, the oldest first."""
        return list(dict.fromkeys(push.place.source for push in self.pushes()))

    def mark_gone(self, place: Place) -> None:
        """Take note that a place was deleted: its outcomes and reviews stay."""
        with self._writing() as session:
            session.execute(update(Push).where(at_place(Push, place)).values(gone=True))

    def boxes(self, push: Push | None = None) -> Sequence[LedgerBox]:
        """Return the mined boxes of one push, or of all, in the order of their region ids."""
        query = select(LedgerBox).order_by(LedgerBox.region_id)
        if push is not None:
            query = query.where(LedgerBox.push_id == push.id)
        with self._reading() as session:
            return session.scalars(query).all()

    def reviewed_boxes(self) -> Sequence[LedgerBox]:
        """Return the mined boxes that a reviewer saw (`LedgerBox.is_reviewed`), by region id.

        Most boxes of a large project have not been reviewed: they stay on the disk.
        """
        query = select(LedgerBox).where(LedgerBox.was_reviewed()).order_by(LedgerBox.region_id)
        with self._reading() as session:
            return session.scalars(query).all()

    def queued(self, push: Push | None = None) -> Sequence[QueuedImage]:
        """Return the images that people are asked to open, the oldest push first, in order.

        Args:
            push: the only push wanted; None: all.
        """
        with self._reading() as session:
            return queued(session, push)

    def pushed_images(self, place: Place) -> list[PushedImage]:
        """Return the images that were pushed to a place, each with all of its boxes there.

        Images that were queued without boxes are among them; they come last.
        For drafts an image has one entry for each version of its annotation that boxes were put
        onto: a save judges the boxes that it was shown, not those of a later draft.
        """
        with self._reading() as session:
            return pushes.pushed_images(session, place)

    def record_reviews(
        self, place: Place, found: PlaceReviews, rule: AnnotationRule = "ground-truth-first"
    ) -> None:
        """Store the reviews at a place as they stand now, and settle the outcomes of their images.

        The tool holds the truth: a review that was withdrawn withdraws its outcomes, unless others
        say the same. But a place that no longer knows what was reviewed, or is gone, takes nothing
        back. A box that no review was shown stays as it is: silence about it says nothing.

        Args:
            place: where the boxes were pushed.
            found: everything that was read there.
            rule: for reviews made side by side.
        """
        with self._writing() as session:
            withdrawn = replace_reviews(session, place, found)
            stored = stored_reviews(session, place.source)
            written = _written(session, place.source)
            for tool_id, boxes in boxes_by_image(session, place.source).items():
                reviews = stored.get(tool_id, [])
                if tool_id in withdrawn or any(at == place for at, _ in reviews):
                    settle(
                        boxes,
                        reviews,
                        rule,
                        written=written.get(tool_id, NOTHING_WRITTEN),
                        withdrawn=withdrawn.get(tool_id, frozenset()),
                    )

    def image_reviews(self, source: Source) -> list[ImageReviews]:
        """Return every image of a project that was reviewed, drafts left out, in a fixed order."""
        with self._reading() as session:
            stored = stored_reviews(session, source)
            if not stored and not _any_touched(session):
                return []
            return image_reviews(
                boxes_by_image(session, source),
                stored,
                _written(session, source),
                queued_sizes(session, source),
            )

    def record_written(
        self, source: Source, written: Mapping[str, tuple[Written, str | None]]
    ) -> None:
        """Record how a merge, or its undoing, left images of the annotated project.

        Args:
            source: the annotated project.
            written: tool id -> how it was left, and its version since (None: as before).
        """
        with self._writing() as session:
            boxes = boxes_by_image(session, source, written.keys())
            images = source_changes.source_images(session, source, written.keys())
            for tool_id, (left, _) in written.items():
                images[tool_id].written = written_text(left)
                for box in boxes.get(tool_id, ()):
                    if box.is_decided and box.push.mode != "draft":
                        box.in_source = is_written(box, left)
            for row in session.scalars(
                select(PushedVersion)
                .where(of_source(PushedVersion, source))
                .where(PushedVersion.mode != "draft")
                .where(named(PushedVersion.image_tool_id, written.keys()))
            ):
                row.version = written.get(row.image_tool_id, (None, None))[1] or row.version

    def relocate(self, tool: str, project: str, url: str) -> None:
        """Take note that the server of a project has another address now.

        Args:
            tool: name of the integration.
            project: the annotated project.
            url: its server's present address.
        """
        with self._writing() as session:
            source_changes.relocate(session, tool, project, url)

    def rename_images(self, images: Mapping[str, str], source: Source | None = None) -> None:
        """Give images their new tool ids (old -> new); None: of any source."""
        with self._writing() as session:
            source_changes.rename_images(session, images, source)

    def resize(self, sizes: Mapping[str, tuple[int, int]], source: Source | None = None) -> None:
        """Scale the boxes of images that have another size now.

        Args:
            sizes: tool id -> upright (width, height) in pixels.
            source: whose images they are; None: of any.
        """
        with self._writing() as session:
            source_changes.resize(session, sizes, source)

    def relabel(self, names: Mapping[str, str], source: Source | None = None) -> None:
        """Rename categories (old -> new) in boxes, reviews and what merges wrote."""
        with self._writing() as session:
            source_changes.relabel(session, names, source)

    def digests(self, source: Source | None = None) -> dict[str, tuple[str, tuple[int, int]]]:
        """Return tool id -> (digest of its content, upright (width, height)), where known."""
        with self._reading() as session:
            query = select(SourceImage.image_tool_id, SourceImage.digest)
            if source is not None:
                query = query.where(of_source(SourceImage, source))
            digests = session.execute(query.where(SourceImage.digest.is_not(None))).all()
            sizes = pushes.box_sizes(session, source) | queued_sizes(session, source)
        return {
            tool_id: (digest, sizes[tool_id])
            for tool_id, digest in digests
            if digest is not None and tool_id in sizes
        }

    def skipped_images(self) -> frozenset[str]:
        """Return the images that wait for a reviewer where all who opened them skipped them."""
        with self._reading() as session:
            return skipped_images(session)

    def reviewers(self) -> list[ReviewerCounts]:
        """Return what each reviewer did, and how far they agree, by name."""
        with self._reading() as session:
            mined = pushes.mined_regions(session)
            reviews = [
                (place.source, review)
                for images in stored_reviews(session).values()
                for place, review in images
            ]
        return compare_reviewers(reviews, mined)

    def pending(self, dataset: Dataset) -> tuple[MinedBox, ...]:
        """Return the boxes that wait for a reviewer, as boxes of `dataset`; see `as_mined`."""
        return as_mined((box for box in self.boxes() if box.outcome == "pending"), dataset)

    def reviewed_ids(self) -> set[str]:
        """Return the ids of the boxes that reviewers saw, also of those left undecided."""
        seen = select(LedgerBox.region_id).where(LedgerBox.was_reviewed())
        with self._reading() as session:
            return set(session.scalars(seen))

    def drawn(self, rule: AnnotationRule = "ground-truth-first") -> list[DrawnBox]:
        """Return the boxes that reviewers drew, as all reviews together leave them.

        Args:
            rule: for reviews made side by side.
        """
        with self._reading() as session:
            return _Reviewed(session).drawn(rule)

    def review_work(self) -> list[ReviewWork]:
        """Return what was done in each submitted review, the oldest first."""
        with self._reading() as session:
            if session.scalar(select(StoredReview.id).limit(1)) is None:
                return []
            return _Reviewed(session).work()

    def counts(self, rule: AnnotationRule = "ground-truth-first") -> OutcomeCounts:
        """Count outcomes, and drawn boxes, over the whole ledger; `rule` as for `drawn`."""
        with self._reading() as session:
            reviewed = _Reviewed(session)
            return count_outcomes(reviewed.boxes, reviewed.drawn(rule))

    def rounds(self, rule: AnnotationRule = "ground-truth-first") -> list[RoundCounts]:
        """Count round by round, what was outside of rounds last; `rule` as for `drawn`."""
        with self._reading() as session:
            reviewed = _Reviewed(session)
            return count_rounds(reviewed.boxes, reviewed.drawn(rule), reviewed.work())


def _any_touched(session: Session) -> bool:
    """Return whether a box is anything but waiting for its first review.

    Before the first review a large project has many boxes, and none is worth reading.
    """
    touched = or_(LedgerBox.outcome != "pending", LedgerBox.review_id.is_not(None))
    return session.scalar(select(LedgerBox.region_id).where(touched).limit(1)) is not None


class _Reviewed:
    """The boxes and the reviews of the whole ledger, read once."""

    def __init__(self, session: Session) -> None:
        self.boxes = session.scalars(select(LedgerBox).order_by(LedgerBox.region_id)).all()
        self._stored = stored_reviews(session)
        self._rounds = ReviewRounds(session, self.boxes)

    def drawn(self, rule: AnnotationRule) -> list[DrawnBox]:
        return drawn_boxes(self._stored, self.boxes, self._rounds, rule)

    def work(self) -> list[ReviewWork]:
        mined = {box.region_id for box in self.boxes}
        return review_work(self._stored, mined, self._rounds)


def _written(session: Session, source: Source) -> dict[str, Written]:
    rows = session.scalars(select(SourceImage).where(of_source(SourceImage, source)))
    return {row.image_tool_id: read_written(row.written) for row in rows}
