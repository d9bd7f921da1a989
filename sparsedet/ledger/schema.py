"""The ledger's tables. A change here raises `SCHEMA` in `database.py`."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column, relationship

from sparsedet.annotations import XYXY
from sparsedet.tool import Outcome, PushMode


@dataclass(frozen=True, slots=True)
class Place:
    """Where mined boxes are reviewed."""

    tool: str
    """Name of the integration."""
    url: str
    project: str
    """The annotated project."""
    review_project: str
    """The project in which people review; for drafts the annotated one itself."""
    mode: PushMode


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
    mode: Mapped[PushMode] = mapped_column(String, default="review-project")
    model_version: Mapped[str]
    round: Mapped[int | None] = mapped_column(default=None)
    """None: pushed by itself, outside of rounds."""
    created_at: Mapped[datetime] = mapped_column(
        init=False, default_factory=lambda: datetime.now(UTC)
    )
    """UTC; comes back from the file without time zone."""

    @property
    def place(self) -> Place:
        """Where the boxes went."""
        return Place(self.tool, self.url, self.project, self.review_project, self.mode)


class LedgerBox(Base):
    """A mined box as it was pushed, and its outcome."""

    __tablename__ = "boxes"

    region_id: Mapped[str] = mapped_column(primary_key=True)
    push_id: Mapped[int] = mapped_column(ForeignKey("pushes.id"), index=True)
    round: Mapped[int | None]
    """The round that mined the box; None: mined outside of rounds."""
    image_tool_id: Mapped[str]
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
    outcome: Mapped[Outcome] = mapped_column(String, default="pending")
    final_category: Mapped[str | None]
    final_left: Mapped[float | None]
    final_top: Mapped[float | None]
    final_right: Mapped[float | None]
    final_bottom: Mapped[float | None]
    reviewer: Mapped[str | None]
    review_id: Mapped[str | None]
    """The tool's id of the review that settled the box."""
    seconds: Mapped[float | None]
    """Time that the reviewer spent on the whole image: the same at each of its boxes."""
    in_source: Mapped[bool] = mapped_column(default=False)
    """The annotated project itself holds the outcome: after a merge, or in draft mode."""
    push: Mapped[Push] = relationship(lazy="joined", innerjoin=True)

    @property
    def xyxy(self) -> XYXY:
        """The box as mined, absolute pixels of the upright image."""
        return self.left, self.top, self.right, self.bottom

    @property
    def final_xyxy(self) -> XYXY | None:
        """The box as the reviewer left it; None where it is rejected or pending."""
        left, top, right, bottom = (
            self.final_left,
            self.final_top,
            self.final_right,
            self.final_bottom,
        )
        if left is None or top is None or right is None or bottom is None:
            return None
        return left, top, right, bottom


class SourceImage(MappedAsDataclass, Base, kw_only=True, eq=False):
    """An image of an annotated project, as the newest push to a place or merge from it left it."""

    __tablename__ = "source_images"
    __table_args__ = (
        UniqueConstraint("tool", "url", "project", "review_project", "mode", "image_tool_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    tool: Mapped[str]
    url: Mapped[str]
    project: Mapped[str]
    review_project: Mapped[str]
    mode: Mapped[PushMode] = mapped_column(String)
    image_tool_id: Mapped[str]
    version: Mapped[str | None] = mapped_column(default=None)
    """`Image.tool_version`; a merge of an image whose version is another one is a conflict."""
    merged_at: Mapped[datetime | None] = mapped_column(default=None)
    """UTC; None: no review of the image was merged yet."""
