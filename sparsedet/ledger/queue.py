"""The queue: the images that people are asked to open, in order, with or without mined boxes."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from sparsedet.annotations import Dataset, Image
from sparsedet.errors import SparseDetError
from sparsedet.ledger.bulk import Values, save_rows
from sparsedet.ledger.schema import Place, Push, QueuedImage, Source, at_place, of_source
from sparsedet.sheets.arrangement import CROPS


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """An image that people are asked to open."""

    image_id: int
    """The image's id in the dataset."""
    audit: bool = False
    """Whether it was drawn at random and is shown without mined boxes."""
    expected: float = 0.0
    """Expected number of objects that get a box in its review."""
    boxes: int = 0
    """Number of mined boxes shown on it."""
    seconds: float = 0.0
    """Expected review time in seconds."""
    judge_only: bool = False
    """Whether people only judge its boxes; drawing missing objects can wait."""
    on_sheets: bool = False
    """Whether its boxes are judged on contact sheets, without opening the image."""
    missing: float = 0.0
    """Expected number of objects without a box."""

    @property
    def pages(self) -> float:
        """What a person opens: an image, or part of a contact sheet."""
        return self.boxes / CROPS if self.on_sheets else 1.0


@dataclass(frozen=True, slots=True)
class OnQueuedImage:
    """An entry with its image, whose `tool_id` is known."""

    entry: QueueEntry
    image: Image
    tool_id: str


def with_images(
    queue: Iterable[QueueEntry], dataset: Dataset, skipped: Collection[str]
) -> list[OnQueuedImage]:
    """Return the entries with their images, without skipped images.

    Raises:
        SparseDetError: when an image has no tool id.
    """
    images = ((entry, dataset.image_by_id[entry.image_id]) for entry in queue)
    found = [OnQueuedImage(entry, image, tool_id_of(image)) for entry, image in images]
    return [one for one in found if one.tool_id not in skipped]


def tool_id_of(image: Image) -> str:
    """Return an image's id in the tool.

    Raises:
        SparseDetError: when it has none.
    """
    if image.tool_id is None:
        raise SparseDetError(
            f"image id {image.id} ({image.file_name}) has no tool_id: push needs a dataset that "
            "was pulled from the tool"
        )
    return image.tool_id


def replace_queue(session: Session, push: Push, queue: Sequence[OnQueuedImage]) -> None:
    """Set a push's queue to `queue`.

    Images no longer in it keep their rows: one may have been opened meanwhile, and its review needs
    them.
    """
    # If an image is listed twice, its first position counts.
    places = {one.tool_id: position for position, one in reversed(list(enumerate(queue)))}
    of_push = QueuedImage.push_id == push.id
    named = session.execute(select(QueuedImage.id, QueuedImage.image_tool_id).where(of_push))
    dropped = [{"id": id, "position": None} for id, tool_id in named if tool_id not in places]
    if dropped:
        session.execute(update(QueuedImage), dropped)
    wanted = {tool_id: _values(queue[at], at) for tool_id, at in places.items()}
    save_rows(session, QueuedImage, "image_tool_id", of_push, wanted, {"push_id": push.id})


def _values(one: OnQueuedImage, position: int) -> Values:
    return {
        "position": position,
        "file_name": one.image.file_name,
        "audit": one.entry.audit,
        "judge_only": one.entry.judge_only,
        "boxes": one.entry.boxes,
        "expected": one.entry.expected,
        "seconds": one.entry.seconds,
        "image_width": one.image.width,
        "image_height": one.image.height,
    }


def queued(session: Session, push: Push | None = None) -> Sequence[QueuedImage]:
    """Return the images that people are asked to open; see `Ledger.queued`."""
    query = select(QueuedImage).where(QueuedImage.position.is_not(None))
    if push is not None:
        query = query.where(QueuedImage.push_id == push.id)
    return session.scalars(query.order_by(QueuedImage.push_id, QueuedImage.position)).all()


def queued_sizes(session: Session, of: Place | Source | None = None) -> dict[str, tuple[int, int]]:
    """Return tool id -> upright (width, height) in pixels of every image ever queued."""
    columns = QueuedImage.image_tool_id, QueuedImage.image_width, QueuedImage.image_height
    query = select(*columns).join(Push, QueuedImage.push_id == Push.id)
    if isinstance(of, Place):
        query = query.where(at_place(Push, of))
    elif of is not None:
        query = query.where(of_source(Push, of))
    rows = session.execute(query.order_by(QueuedImage.image_tool_id))
    return {tool_id: (width, height) for tool_id, width, height in rows}
