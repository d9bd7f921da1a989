"""Every mined box ever pushed, and what became of it: one SQLite file per workspace."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import ForeignKey, create_engine, event, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from sparsedet.annotations import XYXY, Dataset
from sparsedet.errors import SparseDetError
from sparsedet.mining.mined import MinedBox
from sparsedet.tool import ReviewedImage, ReviewedRegion

Outcome = Literal["accepted", "edited", "rejected", "pending"]

MOVED_PIXELS = 1.0
"""A box counts as edited when an edge moved by more than this."""


class _Base(DeclarativeBase):
    pass


class Push(_Base):
    """One model version put up for review in one project."""

    __tablename__ = "pushes"

    id: Mapped[int] = mapped_column(primary_key=True)
    tool: Mapped[str]
    url: Mapped[str]
    project: Mapped[str]
    review_project: Mapped[str]
    model_version: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))
    boxes: Mapped[list["LedgerBox"]] = relationship(back_populates="push")


class LedgerBox(_Base):
    """A mined box as it was pushed, and its outcome."""

    __tablename__ = "boxes"

    region_id: Mapped[str] = mapped_column(primary_key=True)
    push_id: Mapped[int] = mapped_column(ForeignKey("pushes.id"), index=True)
    image_tool_id: Mapped[str]
    file_name: Mapped[str]
    category: Mapped[str]
    left: Mapped[float]
    top: Mapped[float]
    right: Mapped[float]
    bottom: Mapped[float]
    score: Mapped[float]
    threshold: Mapped[float]
    outcome: Mapped[str] = mapped_column(default="pending")
    final_category: Mapped[str | None]
    final_left: Mapped[float | None]
    final_top: Mapped[float | None]
    final_right: Mapped[float | None]
    final_bottom: Mapped[float | None]
    reviewer: Mapped[str | None]
    seconds: Mapped[float | None]
    push: Mapped[Push] = relationship(back_populates="boxes")

    @property
    def xyxy(self) -> XYXY:
        """The box as mined, absolute pixels of the upright image."""
        return self.left, self.top, self.right, self.bottom


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """How many mined boxes came to which end."""

    accepted: int = 0
    edited: int = 0
    rejected: int = 0
    pending: int = 0
    by_category: dict[str, dict[str, int]] = field(default_factory=dict)
    """Category name (as mined) -> outcome -> count."""


class Ledger:
    """The ledger of a workspace; the file is made when it does not exist."""

    def __init__(self, path: Path, *, must_exist: bool = False) -> None:
        if must_exist and not path.is_file():
            raise SparseDetError(f"{path}: no ledger here; `sparsedet push` makes it")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._engine = create_engine(f"sqlite:///{path}")
        event.listen(self._engine, "connect", _enforce_foreign_keys)
        try:
            _Base.metadata.create_all(self._engine)
        except DatabaseError as error:
            raise SparseDetError(f"{path}: not a ledger ({error.orig})") from error

    def close(self) -> None:
        """Release the file."""
        self._engine.dispose()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    def record_push(
        self,
        push: Push,
        mined: Sequence[MinedBox],
        dataset: Dataset,
    ) -> int:
        """Record a push and its boxes; boxes that are known already stay as they are.

        Returns the number of boxes that are new to the ledger.
        """
        with self._session() as session:
            known_push = session.scalar(
                select(Push).where(
                    Push.tool == push.tool,
                    Push.url == push.url,
                    Push.review_project == push.review_project,
                    Push.model_version == push.model_version,
                )
            )
            if known_push is None:
                session.add(push)
                session.flush()
                known_push = push
            known_ids = set(session.scalars(select(LedgerBox.region_id)))
            new = [box for box in mined if box.region_id not in known_ids]
            session.add_all(_row(box, known_push.id, dataset) for box in new)
            return len(new)

    def pushes(self) -> Sequence[Push]:
        """Return all pushes, oldest first."""
        with self._session() as session:
            return session.scalars(select(Push).order_by(Push.id)).all()

    def boxes(self, push: Push | None = None) -> Sequence[LedgerBox]:
        """Return the mined boxes of one push, or of all, in the order of their region ids."""
        query = select(LedgerBox).order_by(LedgerBox.region_id)
        if push is not None:
            query = query.where(LedgerBox.push_id == push.id)
        with self._session() as session:
            return session.scalars(query).all()

    def record_review(self, push: Push, reviewed: Sequence[ReviewedImage]) -> None:
        """Settle the outcome of every box of `push` from the reviews as they stand now.

        A box of an image that nobody submitted is pending, also when it had an outcome before:
        the tool holds the truth, a withdrawn review withdraws its outcomes. A box that none of its
        image's reviews was shown stays as it is: silence about it says nothing.
        """
        by_image: dict[str, list[ReviewedImage]] = {}
        for image in reviewed:
            by_image.setdefault(image.tool_id, []).append(image)
        with self._session() as session:
            for box in session.scalars(select(LedgerBox).where(LedgerBox.push_id == push.id)):
                reviews = by_image.get(box.image_tool_id, [])
                judging = next((r for r in reviews if box.region_id in r.shown), None)
                if judging is not None or not reviews:
                    _settle(box, judging)

    def counts(self) -> OutcomeCounts:
        """Count outcomes over the whole ledger."""
        totals = {"accepted": 0, "edited": 0, "rejected": 0, "pending": 0}
        by_category: dict[str, dict[str, int]] = {}
        for box in self.boxes():
            totals[box.outcome] += 1
            category = by_category.setdefault(box.category, dict.fromkeys(totals, 0))
            category[box.outcome] += 1
        return OutcomeCounts(**totals, by_category=by_category)


def judge(mined_category: str, mined: XYXY, final: ReviewedRegion | None) -> Outcome:
    """Return what became of a mined box in a submitted review.

    The tool's own idea of what was edited is not asked: only label and edges count.
    """
    if final is None:
        return "rejected"
    moved = max(abs(a - b) for a, b in zip(mined, final.xyxy, strict=True))
    return "edited" if final.category != mined_category or moved > MOVED_PIXELS else "accepted"


def _settle(box: LedgerBox, review: ReviewedImage | None) -> None:
    region = None
    if review is not None:
        region = next((r for r in review.regions if r.region_id == box.region_id), None)
    box.outcome = "pending" if review is None else judge(box.category, box.xyxy, region)
    box.reviewer = review.reviewer if review else None
    box.seconds = review.seconds if review else None
    box.final_category = region.category if region else None
    edges = region.xyxy if region else (None, None, None, None)
    box.final_left, box.final_top, box.final_right, box.final_bottom = edges


def _row(box: MinedBox, push_id: int, dataset: Dataset) -> LedgerBox:
    image = dataset.image_by_id[box.image_id]
    if image.tool_id is None:
        raise SparseDetError(
            f"image id {image.id} ({image.file_name}) has no tool_id: push needs a dataset that "
            "was pulled from the tool"
        )
    left, top, right, bottom = box.xyxy
    return LedgerBox(
        region_id=box.region_id,
        push_id=push_id,
        image_tool_id=image.tool_id,
        file_name=image.file_name,
        category=dataset.category_by_id[box.category_id].name,
        left=left,
        top=top,
        right=right,
        bottom=bottom,
        score=box.score,
        threshold=box.threshold,
    )


def _enforce_foreign_keys(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys=ON")
