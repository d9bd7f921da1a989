"""Read and write the ledger."""

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
from sparsedet.ledger.work import DrawnBox, Reviewed, ReviewWork
from sparsedet.push_modes import PlaceReviews, PushedImage
from sparsedet.reviews import NOTHING_WRITTEN, AnnotationRule, Written


class Ledger(LedgerFile):
    """The ledger of a workspace; opening it creates the file if necessary.

    Several processes may use it at a time. Each method is one transaction.

    Raises:
        SparseDetError: when the file is not a ledger, has another version's schema, or can't be
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

        Known boxes stay as they are. If nobody has judged them, they get their image's current
        version, and the new place if they were pushed to another one; withdrawn ones become pending
        again. A repeated push requests only the images of its new queue.

        Args:
            push: the place, and the model that mined the boxes.
            mined: the boxes; those on audit images are not recorded, since nobody sees them.
            dataset: the images that they were mined on; needs `Image.tool_id`.
            skipped: tool ids of images that could not be pushed; they are not recorded.
            digests: tool id -> digest of the image's content, where known.
            queue: the images that people are asked to open, in order. Drafts consist of mined
                boxes, so images without any are not recorded for them.

        Returns:
            The number of boxes new to the ledger.
        """
        audited = {entry.image_id for entry in queue if entry.audit}
        shown = (box for box in mined if box.image_id not in audited)
        boxes = pushes.on_images(shown, dataset, skipped)
        asked = with_images(queue, dataset, skipped)
        with self._writing() as session:
            return pushes.record_push(session, push, boxes, asked, digests or {})

    def withdraw(self, region_ids: Collection[str]) -> int:
        """Record that boxes are no longer up for review; return their number.

        Boxes that reviewers judged keep their outcome, and a review that arrives later still
        counts.
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
        """Return every place that was pushed to and still exists, oldest first.

        Excludes lots: no tool has their boxes.
        """
        there = (push for push in self.pushes() if not push.gone and push.mode != "sampled")
        return list(dict.fromkeys(push.place for push in there))

    def sources(self) -> list[Source]:
        """Return every project that boxes were pushed from, oldest first."""
        return list(dict.fromkeys(push.place.source for push in self.pushes()))

    def mark_gone(self, place: Place) -> None:
        """Record that a place was deleted: its outcomes and reviews stay."""
        with self._writing() as session:
            session.execute(update(Push).where(at_place(Push, place)).values(gone=True))

    def boxes(self, push: Push | None = None) -> Sequence[LedgerBox]:
        """Return the mined boxes of one push, or of all, ordered by region id."""
        query = select(LedgerBox).order_by(LedgerBox.region_id)
        if push is not None:
            query = query.where(LedgerBox.push_id == push.id)
        with self._reading() as session:
            return session.scalars(query).all()

    def reviewed_boxes(self) -> Sequence[LedgerBox]:
        """Return the mined boxes that a reviewer saw (`LedgerBox.is_reviewed`), by region id.

        Boxes without a review, which are most in a large project, are not loaded.
        """
        query = select(LedgerBox).where(LedgerBox.was_reviewed()).order_by(LedgerBox.region_id)
        with self._reading() as session:
            return session.scalars(query).all()

    def queued(self, push: Push | None = None) -> Sequence[QueuedImage]:
        """Return the images that people are asked to open: oldest push first, in queue order.

        Args:
            push: only this push; None: all.
        """
        with self._reading() as session:
            return queued(session, push)

    def pushed_images(self, place: Place) -> list[PushedImage]:
        """Return the images that were pushed to a place, each with all of its boxes there.

        Includes images queued without boxes; they come last. For drafts an image has one entry per
        version of its annotation that boxes were added to: saving judges the boxes shown then, not
        those of a later draft.
        """
        with self._reading() as session:
            return pushes.pushed_images(session, place)

    def record_reviews(
        self, place: Place, found: PlaceReviews, rule: AnnotationRule = "ground-truth-first"
    ) -> None:
        """Store the current reviews at a place, and settle the outcomes of their images.

        The tool is authoritative: a withdrawn review withdraws its outcomes, unless others agree
        with it. But a place that no longer knows what was reviewed, or is deleted, withdraws
        nothing. A box not shown in any review stays as it is.

        Args:
            place: where the boxes were pushed.
            found: everything read there.
            rule: how to combine parallel reviews.
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
        """Return every reviewed image of a project, without drafts, in a fixed order."""
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
        """Record the state in which a merge, or its undoing, left images of the annotated project.

        Args:
            source: the annotated project.
            written: tool id -> the new state, and the version since (None: unchanged).
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
        """Record a project's new server address.

        Args:
            tool: name of the integration.
            project: the annotated project.
            url: its server's current address.
        """
        with self._writing() as session:
            source_changes.relocate(session, tool, project, url)

    def rename_images(self, images: Mapping[str, str], source: Source | None = None) -> None:
        """Rename images' tool ids (old -> new); source None: in all projects."""
        with self._writing() as session:
            source_changes.rename_images(session, images, source)

    def resize(self, sizes: Mapping[str, tuple[int, int]], source: Source | None = None) -> None:
        """Rescale the boxes of images whose size has changed.

        Args:
            sizes: tool id -> upright (width, height) in pixels.
            source: the images' project; None: any.
        """
        with self._writing() as session:
            source_changes.resize(session, sizes, source)

    def relabel(self, names: Mapping[str, str], source: Source | None = None) -> None:
        """Rename categories (old -> new) in boxes, reviews and merge records."""
        with self._writing() as session:
            source_changes.relabel(session, names, source)

    def digests(self, source: Source | None = None) -> dict[str, tuple[str, tuple[int, int]]]:
        """Return tool id -> (content digest, upright (width, height)), where known."""
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

    def note_contents(
        self, contents: Mapping[str, tuple[str, tuple[int, int]]], source: Source
    ) -> None:
        """Record the present content of a project's images, given as by `digests`.

        Their boxes are rescaled as by `resize`.
        """
        with self._writing() as session:
            source_changes.resize(session, {id: size for id, (_, size) in contents.items()}, source)
            pushes.note_digests(session, {id: one for id, (one, _) in contents.items()}, source)

    def skipped_images(self) -> frozenset[str]:
        """Return the images waiting for a reviewer that everyone who opened them skipped."""
        with self._reading() as session:
            return skipped_images(session)

    def reviewers(self) -> list[ReviewerCounts]:
        """Return each reviewer's work and agreement with others, by name."""
        with self._reading() as session:
            mined = pushes.mined_regions(session)
            reviews = [
                (place.source, review)
                for images in stored_reviews(session).values()
                for place, review in images
            ]
        return compare_reviewers(reviews, mined)

    def pending(self, dataset: Dataset) -> tuple[MinedBox, ...]:
        """Return the boxes waiting for a reviewer, as boxes of `dataset`; see `as_mined`."""
        return as_mined((box for box in self.boxes() if box.outcome == "pending"), dataset)

    def reviewed_ids(self) -> set[str]:
        """Return the ids of the boxes that reviewers saw, including those left undecided."""
        seen = select(LedgerBox.region_id).where(LedgerBox.was_reviewed())
        with self._reading() as session:
            return set(session.scalars(seen))

    def drawn(self, rule: AnnotationRule = "ground-truth-first") -> list[DrawnBox]:
        """Return the boxes that reviewers drew, combined over all reviews.

        Args:
            rule: how to combine parallel reviews.
        """
        with self._reading() as session:
            return Reviewed(session).drawn(rule)

    def review_work(self) -> list[ReviewWork]:
        """Return the work in each submitted review, oldest first."""
        with self._reading() as session:
            if session.scalar(select(StoredReview.id).limit(1)) is None:
                return []
            return Reviewed(session).work()

    def counts(self, rule: AnnotationRule = "ground-truth-first") -> OutcomeCounts:
        """Count outcomes, and drawn boxes, over the whole ledger; `rule` as for `drawn`."""
        with self._reading() as session:
            reviewed = Reviewed(session)
            return count_outcomes(reviewed.boxes, reviewed.drawn(rule))

    def rounds(self, rule: AnnotationRule = "ground-truth-first") -> list[RoundCounts]:
        """Count per round, pushes outside of rounds last; `rule` as for `drawn`."""
        with self._reading() as session:
            reviewed = Reviewed(session)
            return count_rounds(reviewed.boxes, reviewed.drawn(rule), reviewed.work())


def _any_touched(session: Session) -> bool:
    """Return whether any box no longer waits for its first review.

    Before the first review, a large project has many boxes, none of which needs to be read.
    """
    touched = or_(LedgerBox.outcome != "pending", LedgerBox.review_id.is_not(None))
    return session.scalar(select(LedgerBox.region_id).where(touched).limit(1)) is not None


def _written(session: Session, source: Source) -> dict[str, Written]:
    rows = session.scalars(select(SourceImage).where(of_source(SourceImage, source)))
    return {row.image_tool_id: read_written(row.written) for row in rows}
