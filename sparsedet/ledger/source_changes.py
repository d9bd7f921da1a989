"""Changes at the source after a push: server address, image ids, sizes and labels."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from sqlalchemy import ColumnElement, and_, select, true, update
from sqlalchemy.orm import Session

from sparsedet.annotations import XYXY
from sparsedet.ledger.review_json import (
    category_text,
    read_review,
    read_written,
    review_text,
    written_text,
)
from sparsedet.ledger.schema import (
    LedgerBox,
    Push,
    PushedVersion,
    QueuedImage,
    Source,
    SourceImage,
    StoredReview,
    named,
    of_source,
)
from sparsedet.reviews import Review, ReviewedRegion, Written, scaled

_Change = Callable[[ReviewedRegion], ReviewedRegion]
_Row = TypeVar("_Row", PushedVersion, SourceImage, StoredReview)
_Table = type[Push] | type[PushedVersion] | type[SourceImage] | type[StoredReview]


def relocate(session: Session, tool: str, project: str, url: str) -> None:
    """Set a project's server address everywhere."""

    def moved(table: _Table) -> ColumnElement[bool]:
        return and_(table.tool == tool, table.project == project, table.url != url)

    for image in session.scalars(select(SourceImage).where(moved(SourceImage))).all():
        holder = read_written(image.written).holder
        _rekey_image(session, image, url=url, tool_id=image.image_tool_id, holder=holder)
    session.flush()
    for table in (Push, PushedVersion, StoredReview):
        # An image may be stored under both addresses; keep one version.
        session.execute(update(table).where(moved(table)).values(url=url).prefix_with("OR REPLACE"))


def rename_images(session: Session, images: Mapping[str, str], source: Source | None) -> None:
    """Rename images' tool ids (old -> new), everywhere and at once."""
    for box in _boxes(session, source):
        if box.image_tool_id in images:
            box.image_tool_id = images[box.image_tool_id]
            # It may have been imported without the annotation that held the box.
            box.in_source = False
    for review in _rows(session, StoredReview, source):
        if review.image_tool_id in images:
            new = images[review.image_tool_id]
            review.image_tool_id = new
            review.content = review_text(replace(read_review(review.content), tool_id=new))
    _rename_queued(session, images, source)
    # Ids may be swapped, so move all old rows out of the way first.
    old = [row for row in _rows(session, SourceImage, source) if row.image_tool_id in images]
    versions = [row for row in _rows(session, PushedVersion, source) if row.image_tool_id in images]
    for row in (*old, *versions):
        session.delete(row)
    session.flush()
    for image in old:
        copy = SourceImage(
            tool=image.tool,
            url=image.url,
            project=image.project,
            image_tool_id=image.image_tool_id,
            digest=image.digest,
            written=image.written,
        )
        _rekey_image(session, copy, url=image.url, tool_id=images[image.image_tool_id])
        session.flush()
    for version in versions:
        _add_version(session, version, images[version.image_tool_id])


def _rename_queued(session: Session, images: Mapping[str, str], source: Source | None) -> None:
    rows = _queued(session, source)
    renamed = [row for row in rows if row.image_tool_id in images]
    taken = {(row.push_id, row.image_tool_id) for row in rows if row.image_tool_id not in images}
    for row in renamed:
        session.delete(row)
    session.flush()
    kept = set(QueuedImage.__table__.columns.keys()) - {"id", "image_tool_id"}
    for row in renamed:
        key = row.push_id, images[row.image_tool_id]
        # Queued under both ids, it is one image.
        if key not in taken:
            taken.add(key)
            values = {name: getattr(row, name) for name in kept}
            session.add(QueuedImage(image_tool_id=key[1], **values))


def resize(session: Session, sizes: Mapping[str, tuple[int, int]], source: Source | None) -> None:
    """Rescale all boxes of images whose upright (width, height) in pixels has changed.

    Unknown sizes are only recorded. An image of another size has other content.
    """
    if not _is_any_other(session, sizes, source):
        return
    scales: dict[tuple[Source, str], _Change] = {}
    for box in _boxes(session, source):
        size = sizes.get(box.image_tool_id)
        if size is None or size == box.size:
            continue
        change = _scaling(box.size, size)
        if box.size is not None:
            scales[box.push.place.source, box.image_tool_id] = change
        box.left, box.top, box.right, box.bottom = change(box.mined).xyxy
        if final := box.final:
            edges = change(final).xyxy
            box.final_left, box.final_top, box.final_right, box.final_bottom = edges
        box.image_width, box.image_height = size
    for image in _queued(session, source):
        size = sizes.get(image.image_tool_id)
        if size is not None and size != image.size:
            # For an image without mined boxes, only this row has the size.
            scales[image.push.place.source, image.image_tool_id] = _scaling(image.size, size)
            image.image_width, image.image_height = size
    if scales:
        _change_regions(session, source, scales.get)
        for known in _rows(session, SourceImage, source):
            if (_source_of(known), known.image_tool_id) in scales:
                known.digest = None


def _is_any_other(
    session: Session, sizes: Mapping[str, tuple[int, int]], source: Source | None
) -> bool:
    """Whether an image's size has changed; called by every pull and push."""
    of_any = true() if source is None else of_source(Push, source)
    for table in (LedgerBox, QueuedImage):
        columns = table.image_tool_id, table.image_width, table.image_height
        query = select(*columns).distinct().join(Push, table.push_id == Push.id).where(of_any)
        for tool_id, width, height in session.execute(query):
            if sizes.get(tool_id, (width, height)) != (width, height):
                return True
    return False


def relabel(session: Session, names: Mapping[str, str], source: Source | None) -> None:
    """Rename categories (old -> new), all at once."""
    if not names:
        return
    # Every pull calls this, and reading a year of reviews takes time.
    stored = [category_text(name) for name in names]

    def change(region: ReviewedRegion) -> ReviewedRegion:
        return replace(region, category=names.get(region.category, region.category))

    for box in _boxes(session, source):
        box.category = names.get(box.category, box.category)
        if box.final_category is not None:
            box.final_category = names.get(box.final_category, box.final_category)
    _change_regions(
        session, source, lambda _: change, lambda text: any(name in text for name in stored), names
    )


def source_images(
    session: Session, source: Source, tool_ids: Collection[str]
) -> dict[str, SourceImage]:
    """Return the rows of images by tool id, creating missing ones."""
    rows = session.scalars(
        select(SourceImage)
        .where(of_source(SourceImage, source))
        .where(named(SourceImage.image_tool_id, tool_ids))
    )
    known = {row.image_tool_id: row for row in rows}
    for tool_id in set(tool_ids) - known.keys():
        known[tool_id] = SourceImage(
            tool=source.tool, url=source.url, project=source.project, image_tool_id=tool_id
        )
        session.add(known[tool_id])
    return {tool_id: known[tool_id] for tool_id in tool_ids}


def _change_regions(
    session: Session,
    source: Source | None,
    change_of: Callable[[tuple[Source, str]], _Change | None],
    is_meant: Callable[[str], bool] = bool,
    names: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Change the regions of stored reviews and merge records whose JSON contains a text.

    With `names` (old -> new) complete classes are renamed, too.
    """
    for row in _rows(session, StoredReview, source):
        change = change_of((row.place.source, row.image_tool_id))
        if change is not None and is_meant(row.content):
            review = _changed(read_review(row.content), change)
            classes = _renamed(review.complete_classes, names)
            row.content = review_text(replace(review, complete_classes=classes))
    for image in _rows(session, SourceImage, source):
        change = change_of((_source_of(image), image.image_tool_id))
        if change is not None and is_meant(image.written or ""):
            written = read_written(image.written)
            boxes = {id: change(box) if box else None for id, box in written.boxes.items()}
            classes = _renamed(written.complete_classes, names)
            image.written = written_text(replace(written, boxes=boxes, complete_classes=classes))


def _renamed(classes: Collection[str], names: Mapping[str, str]) -> frozenset[str]:
    return frozenset(names.get(name, name) for name in classes)


def _source_of(image: SourceImage) -> Source:
    return Source(image.tool, image.url, image.project)


def _changed(review: Review, change: _Change) -> Review:
    return replace(
        review,
        shown={id: change(region) for id, region in review.shown.items()},
        regions=tuple(change(region) for region in review.regions),
    )


def _scaling(size: tuple[int, int] | None, to: tuple[int, int]) -> _Change:
    def change(region: ReviewedRegion) -> ReviewedRegion:
        xyxy: XYXY = scaled(region.xyxy, size, to)
        return replace(region, xyxy=xyxy)

    return change


def _boxes(session: Session, source: Source | None) -> Iterator[LedgerBox]:
    query = select(LedgerBox).join(Push, LedgerBox.push_id == Push.id)
    yield from session.scalars(query.where(true() if source is None else of_source(Push, source)))


def _queued(session: Session, source: Source | None) -> list[QueuedImage]:
    query = select(QueuedImage).join(Push, QueuedImage.push_id == Push.id)
    condition = true() if source is None else of_source(Push, source)
    return list(session.scalars(query.where(condition)))


def _rows(session: Session, table: type[_Row], source: Source | None) -> list[_Row]:
    condition = true() if source is None else of_source(table, source)
    return list(session.scalars(select(table).where(condition)))


def _rekey_image(
    session: Session, image: SourceImage, *, url: str, tool_id: str, holder: str = ""
) -> None:
    """Move a row to another address or id, merging it with an existing one.

    `holder` is the written annotation there; an image that was imported again has another one.
    """
    source = Source(image.tool, url, image.project)
    known = source_images(session, source, {tool_id})[tool_id]
    known.digest = known.digest or image.digest
    earlier, later = read_written(image.written), read_written(known.written)
    known.written = written_text(
        Written(
            {**earlier.boxes, **later.boxes},
            earlier.complete or later.complete,
            holder=holder if later.holder in ("", holder) else "",
            complete_classes=earlier.complete_classes | later.complete_classes,
        )
    )
    if image in session:
        session.delete(image)


def _add_version(session: Session, row: PushedVersion, tool_id: str) -> None:
    place = {
        name: getattr(row, name) for name in ("tool", "url", "project", "review_project", "mode")
    }
    known = session.scalar(select(PushedVersion).filter_by(**place, image_tool_id=tool_id))
    if known is None:
        session.add(PushedVersion(**place, image_tool_id=tool_id, version=row.version))
