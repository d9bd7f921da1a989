"""The ledger's tables. Changes here raise `SCHEMA` in `database.py` and need a migration."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Dialect,
    ForeignKey,
    String,
    TypeDecorator,
    UniqueConstraint,
    and_,
    or_,
    true,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    InstrumentedAttribute,
    Mapped,
    MappedAsDataclass,
    mapped_column,
    relationship,
)

from sparsedet.annotations import XYXY
from sparsedet.errors import SparseDetError
from sparsedet.push_modes import ModeName
from sparsedet.reviews import ReviewedRegion
from sparsedet.tool import OUTCOMES, Outcome

JUDGED: tuple[Outcome, ...] = ("accepted", "edited", "rejected")
"""Outcomes decided by a reviewer."""
DECIDED: tuple[Outcome, ...] = (*JUDGED, "sampled")
"""Outcomes decided by a reviewer, or by a lot's sample."""

PlaceMode = ModeName | Literal["sampled"]
"""A push mode of a tool; or `sampled`: boxes of a lot waiting for its sample, which no tool has."""

_MANY = 500


class _OutcomeType(TypeDecorator[Outcome]):
    """An outcome; SQLite notices no damage within a page, so that a text may be none."""

    impl = String
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> Outcome:
        """Return the outcome.

        Raises:
            SparseDetError: when it is none.
        """
        if value not in OUTCOMES:
            raise SparseDetError(
                f"invalid outcome {value!r} in the ledger: `sparsedet check --fix` repairs it"
            )
        outcome: Outcome = value
        return outcome


@dataclass(frozen=True, slots=True)
class Source:
    """An annotated project; tool ids of images are unique within it."""

    tool: str
    """Name of the integration."""
    url: str
    project: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where mined boxes are reviewed."""

    tool: str
    """Name of the integration."""
    url: str
    project: str
    """The annotated project."""
    review_project: str
    """The project in which people review; for drafts the annotated one itself; for lots the lot."""
    mode: PlaceMode

    @property
    def source(self) -> Source:
        """The annotated project."""
        return Source(self.tool, self.url, self.project)


class Base(DeclarativeBase):
    """Holds the metadata of all tables."""


class Push(MappedAsDataclass, Base, kw_only=True, eq=False):
    """The boxes of one model version, pushed to one place."""

    __tablename__ = "pushes"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    tool: Mapped[str]
    url: Mapped[str]
    project: Mapped[str]
    review_project: Mapped[str]
    mode: Mapped[PlaceMode] = mapped_column(String, default="review-project")
    model_version: Mapped[str]
    round: Mapped[int | None] = mapped_column(default=None)
    """None: pushed outside of rounds."""
    gone: Mapped[bool] = mapped_column(init=False, default=False)
    """Whether the place was deleted; its reviews still count."""
    created_at: Mapped[datetime] = mapped_column(
        init=False, default_factory=lambda: datetime.now(UTC)
    )
    """UTC; read back from the file without time zone."""

    @property
    def place(self) -> Place:
        """Where the boxes were pushed."""
        return Place(self.tool, self.url, self.project, self.review_project, self.mode)


class LedgerBox(Base):
    """A mined box as it was pushed, and its outcome."""

    __tablename__ = "boxes"

    region_id: Mapped[str] = mapped_column(primary_key=True)
    push_id: Mapped[int] = mapped_column(ForeignKey("pushes.id"), index=True)
    round: Mapped[int | None]
    """The round that mined the box; None: outside of rounds."""
    image_tool_id: Mapped[str] = mapped_column(index=True)
    file_name: Mapped[str]
    category: Mapped[str]
    left: Mapped[float]
    top: Mapped[float]
    right: Mapped[float]
    bottom: Mapped[float]
    score: Mapped[float]
    threshold: Mapped[float]
    source_version: Mapped[str | None]
    """`Image.tool_version` when the box was pushed."""
    outcome: Mapped[Outcome] = mapped_column(_OutcomeType, default="pending")
    final_category: Mapped[str | None]
    final_left: Mapped[float | None]
    final_top: Mapped[float | None]
    final_right: Mapped[float | None]
    final_bottom: Mapped[float | None]
    reviewer: Mapped[str | None]
    review_id: Mapped[str | None]
    """The tool's id of the review that settled the box."""
    seconds: Mapped[float | None]
    """Review time of the whole image, stored with each of its boxes."""
    in_source: Mapped[bool] = mapped_column(default=False)
    """Whether the annotated project itself holds the outcome: after a merge, or in draft mode."""
    image_width: Mapped[int | None]
    """Upright image size in pixels that all coordinates refer to; None: unknown."""
    image_height: Mapped[int | None]
    expected_precision: Mapped[float | None]
    """The chance that a reviewer accepts it, 0 to 1, at its last push; None: not estimated."""
    push: Mapped[Push] = relationship(lazy="joined", innerjoin=True)

    @property
    def xyxy(self) -> XYXY:
        """The box as mined, in absolute pixels of the upright image."""
        return self.left, self.top, self.right, self.bottom

    @property
    def final_xyxy(self) -> XYXY | None:
        """The box as the reviewer left it; None if rejected or pending."""
        left, top, right, bottom = (
            self.final_left,
            self.final_top,
            self.final_right,
            self.final_bottom,
        )
        if left is None or top is None or right is None or bottom is None:
            return None
        return left, top, right, bottom

    @property
    def chance(self) -> float:
        """Its expected precision at its last push; its score if it had none."""
        return self.score if self.expected_precision is None else self.expected_precision

    @property
    def mined(self) -> ReviewedRegion:
        """The box as mined."""
        return ReviewedRegion(self.region_id, self.category, self.xyxy)

    @property
    def final(self) -> ReviewedRegion | None:
        """The box as accepted; None if it is not, or not yet."""
        xyxy = self.final_xyxy
        if self.final_category is None or xyxy is None:
            return None
        return ReviewedRegion(self.region_id, self.final_category, xyxy)

    @property
    def is_reviewed(self) -> bool:
        """Whether a reviewer saw it, and judged it or left it undecided."""
        return self.is_judged or (self.review_id is not None and self.outcome != "sampled")

    @classmethod
    def was_reviewed(cls) -> ColumnElement[bool]:
        """Return `is_reviewed` as a query condition."""
        return or_(
            cls.outcome.in_(JUDGED), and_(cls.review_id.is_not(None), cls.outcome != "sampled")
        )

    @property
    def is_judged(self) -> bool:
        """Whether a reviewer decided it."""
        return self.outcome in JUDGED

    @property
    def is_decided(self) -> bool:
        """Whether a reviewer, or its lot's sample, decided it."""
        return self.outcome in DECIDED

    @property
    def is_held(self) -> bool:
        """Whether it belongs to a lot and is not up for review."""
        return self.push.mode == "sampled"

    @property
    def size(self) -> tuple[int, int] | None:
        """Upright (width, height) of the image in pixels; None: unknown."""
        if self.image_width is None or self.image_height is None:
            return None
        return self.image_width, self.image_height


class QueuedImage(Base):
    """An image that people were asked to open, with or without mined boxes."""

    __tablename__ = "queued_images"
    __table_args__ = (UniqueConstraint("push_id", "image_tool_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    push_id: Mapped[int] = mapped_column(ForeignKey("pushes.id"))
    image_tool_id: Mapped[str] = mapped_column(index=True)
    file_name: Mapped[str]
    position: Mapped[int | None]
    """Position in the push's queue, from 0; None: a repeated push no longer requests it."""
    audit: Mapped[bool]
    """Whether it was drawn at random and shown without mined boxes."""
    judge_only: Mapped[bool]
    """Whether people only judged its boxes; drawing missing objects could wait."""
    expected: Mapped[float]
    """Expected number of missing objects when it was queued."""
    boxes: Mapped[int]
    """Number of mined boxes shown on it."""
    seconds: Mapped[float]
    """Expected review time in seconds."""
    image_width: Mapped[int]
    """Upright image size in pixels, which boxes drawn by reviewers refer to."""
    image_height: Mapped[int]
    push: Mapped[Push] = relationship(lazy="joined", innerjoin=True)

    @property
    def size(self) -> tuple[int, int]:
        """Upright (width, height) of the image in pixels."""
        return self.image_width, self.image_height


class SourceImage(MappedAsDataclass, Base, kw_only=True, eq=False):
    """An image of an annotated project."""

    __tablename__ = "source_images"
    __table_args__ = (UniqueConstraint("tool", "url", "project", "image_tool_id"),)

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    tool: Mapped[str]
    url: Mapped[str]
    project: Mapped[str]
    image_tool_id: Mapped[str]
    digest: Mapped[str | None] = mapped_column(default=None)
    """Content digest; finds the image when it was imported under another id."""
    written: Mapped[str | None] = mapped_column(default=None)
    """State after the last merge: `Written` as JSON; None: nothing was merged."""


class PushedVersion(MappedAsDataclass, Base, kw_only=True, eq=False):
    """The version of an image when it was last pushed to a place, or merged from there."""

    __tablename__ = "pushed_versions"
    __table_args__ = (
        UniqueConstraint("tool", "url", "project", "review_project", "mode", "image_tool_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    tool: Mapped[str]
    url: Mapped[str]
    project: Mapped[str]
    review_project: Mapped[str]
    mode: Mapped[PlaceMode] = mapped_column(String)
    image_tool_id: Mapped[str]
    version: Mapped[str | None] = mapped_column(default=None)
    """`Image.tool_version`."""


class StoredReview(MappedAsDataclass, Base, kw_only=True, eq=False):
    """A review as last read at a place."""

    __tablename__ = "reviews"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    tool: Mapped[str]
    url: Mapped[str]
    project: Mapped[str]
    review_project: Mapped[str]
    mode: Mapped[PlaceMode] = mapped_column(String)
    image_tool_id: Mapped[str] = mapped_column(index=True)
    review_id: Mapped[str]
    skipped: Mapped[bool]
    content: Mapped[str]
    """The `Review` as JSON."""

    @property
    def place(self) -> Place:
        """The place it was read from."""
        return Place(self.tool, self.url, self.project, self.review_project, self.mode)


def at_place(
    table: type[Push] | type[PushedVersion] | type[StoredReview], place: Place
) -> ColumnElement[bool]:
    """Return the condition that a row belongs to a place."""
    return and_(*(getattr(table, name) == value for name, value in asdict(place).items()))


def named(column: InstrumentedAttribute[str], images: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a row is of one of the images; of any, if they are many.

    SQLite limits the number of values in a query, and reading everything is as fast then.
    """
    return column.in_(images) if len(images) <= _MANY else true()


def of_source(
    table: type[Push] | type[PushedVersion] | type[StoredReview] | type[SourceImage],
    source: Source,
) -> ColumnElement[bool]:
    """Return the condition that a row belongs to an annotated project."""
    return and_(*(getattr(table, name) == value for name, value in asdict(source).items()))
