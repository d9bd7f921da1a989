"""What was pushed, where, and the state of its images."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from sparsedet.annotations import Dataset, Image
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.ledger.bulk import Values, save_rows
from sparsedet.ledger.queue import OnQueuedImage, queued_sizes, replace_queue, tool_id_of
from sparsedet.ledger.review_json import read_written
from sparsedet.ledger.schema import (
    DECIDED,
    LedgerBox,
    Place,
    Push,
    PushedVersion,
    QueuedImage,
    Source,
    SourceImage,
    at_place,
    named,
    of_source,
)
from sparsedet.ledger.source_changes import resize
from sparsedet.push_modes import PushedImage
from sparsedet.reviews import NOTHING_WRITTEN, ReviewedRegion

OnImage = tuple[MinedBox, Image, str]
"""A mined box with its image and category name."""


def on_images(
    mined: Iterable[MinedBox], dataset: Dataset, skipped: Collection[str]
) -> list[OnImage]:
    """Return the boxes with their image records, without skipped images.

    Raises:
        SparseDetError: when an image has no tool id.
    """
    found = []
    for box in mined:
        image = dataset.image_by_id[box.image_id]
        if tool_id_of(image) not in skipped:
            found.append((box, image, dataset.category_by_id[box.category_id].name))
    return found


def record_push(
    session: Session,
    push: Push,
    boxes: Sequence[OnImage],
    queue: Sequence[OnQueuedImage],
    digests: Mapping[str, str],
) -> int:
    """Record a push; see `Ledger.record_push`."""
    at = push.place
    images = {str(image.tool_id): image for _, image, _ in boxes}
    if at.mode == "draft":
        # Drafts consist of mined boxes: images without any are not shown.
        queue = [one for one in queue if one.tool_id in images]
    images |= {one.tool_id: one.image for one in queue}
    resize(session, {id: (image.width, image.height) for id, image in images.items()}, at.source)
    recorded = _recorded(session, push)
    # The place exists again, even if it was deleted before.
    session.execute(update(Push).where(at_place(Push, at)).values(gone=False))
    versions = {one.tool_id: one.image.tool_version for one in queue}
    new = _save_boxes(session, recorded, boxes, versions)
    replace_queue(session, recorded, queue)
    _note_versions(session, at, versions)
    shown = {tool_id: digests[tool_id] for tool_id in images.keys() & digests.keys()}
    note_digests(session, shown, at.source)
    return new


def _recorded(session: Session, push: Push) -> Push:
    """Return the row of a push: that of an earlier call, or a new one."""
    recorded = session.scalar(
        select(Push)
        .where(at_place(Push, push.place))
        .where(Push.model_version == push.model_version, Push.round.is_(push.round))
    )
    if recorded is None:
        session.add(push)
        session.flush()
        recorded = push
    return recorded


def note_digests(session: Session, digests: Mapping[str, str], source: Source) -> None:
    """Record the content of images; see `Ledger.note_contents`."""
    save_rows(
        session,
        SourceImage,
        "image_tool_id",
        of_source(SourceImage, source),
        {tool_id: {"digest": digest} for tool_id, digest in digests.items()},
        asdict(source),
    )


def restore_push(
    session: Session,
    push: Push,
    boxes: Sequence[OnImage],
    queue: Sequence[OnQueuedImage],
    withdrawn: Collection[str],
) -> int:
    """Add what is missing of a push; see `LedgerCheckup.restore_push`."""
    at = push.place
    recorded = _recorded(session, push)
    known = set(session.scalars(select(LedgerBox.region_id)))
    missing = [one for one in boxes if one[0].region_id not in known]
    rows = [_row(mined, image, category, recorded) for mined, image, category in missing]
    for row in rows:
        if row["region_id"] in withdrawn:
            row["outcome"] = "withdrawn"
    if rows:
        session.execute(insert(LedgerBox), rows)
    has_queue = session.scalar(select(QueuedImage.id).where(QueuedImage.push_id == recorded.id))
    if has_queue is None and at.mode not in ("draft", "sampled"):
        replace_queue(session, recorded, queue)
    noted = select(PushedVersion.image_tool_id).where(at_place(PushedVersion, at))
    images = {str(image.tool_id): image for _, image, _ in missing}
    new = images.keys() - set(session.scalars(noted))
    _note_versions(session, at, {tool_id: images[tool_id].tool_version for tool_id in new})
    return len(missing)


def _save_boxes(
    session: Session, push: Push, boxes: Iterable[OnImage], versions: dict[str, str | None]
) -> int:
    """Record a push's boxes and image versions; return the number of new boxes.

    Decided boxes stay as they are.
    """
    session.flush()
    columns = LedgerBox.region_id, LedgerBox.image_tool_id, LedgerBox.push_id, LedgerBox.outcome
    states = *columns, LedgerBox.expected_precision, LedgerBox.source_version
    known = {row.region_id: row for row in session.execute(select(*states))}
    here = set(session.scalars(select(Push.id).where(at_place(Push, push.place))))
    new: dict[str, Values] = {}
    changed: dict[str, Values] = {}
    for mined, image, category in boxes:
        row = known.get(mined.region_id)
        if row is None:
            new[mined.region_id] = _row(mined, image, category, push)
            versions[str(image.tool_id)] = image.tool_version
            continue
        if row.outcome in DECIDED:
            continue
        versions[row.image_tool_id] = image.tool_version
        expected = mined.expected_precision
        state = (
            "pending",
            row.push_id if row.push_id in here else push.id,
            row.expected_precision if expected is None else expected,
            image.tool_version,
        )
        if state != (row.outcome, row.push_id, row.expected_precision, row.source_version):
            outcome, push_id, precision, version = state
            changed[mined.region_id] = {
                "region_id": mined.region_id,
                "outcome": outcome,
                "push_id": push_id,
                "expected_precision": precision,
                "source_version": version,
            }
    if new:
        session.execute(insert(LedgerBox), list(new.values()))
    if changed:
        session.execute(update(LedgerBox), list(changed.values()))
    return len(new)


def pushed_images(session: Session, place: Place) -> list[PushedImage]:
    """Return the images that were pushed to a place; see `Ledger.pushed_images`."""
    rows = session.scalars(select(SourceImage).where(of_source(SourceImage, place.source)))
    written = {row.image_tool_id: read_written(row.written) for row in rows}
    at = select(PushedVersion).where(at_place(PushedVersion, place))
    versions = {row.image_tool_id: row.version for row in session.scalars(at)}
    groups: dict[tuple[str, str | None], list[LedgerBox]] = {}
    for box in session.scalars(
        select(LedgerBox)
        .join(Push, LedgerBox.push_id == Push.id)
        .where(at_place(Push, place))
        .order_by(LedgerBox.region_id)
    ):
        tool_id = box.image_tool_id
        version = box.source_version if place.mode == "draft" else versions.get(tool_id)
        groups.setdefault((tool_id, version), []).append(box)
    boxed = {tool_id for tool_id, _ in groups}
    sizes = queued_sizes(session, place)
    for tool_id in sorted(sizes.keys() - boxed):
        groups[tool_id, versions.get(tool_id)] = []
    return [
        PushedImage(
            tool_id,
            version,
            _regions(boxes),
            size=next((box.size for box in boxes if box.size), sizes.get(tool_id)),
            written=written.get(tool_id, NOTHING_WRITTEN),
            withdrawn=frozenset(box.region_id for box in boxes if box.outcome == "withdrawn"),
        )
        for (tool_id, version), boxes in groups.items()
    ]


def boxes_by_image(
    session: Session, source: Source | None = None, images: Collection[str] | None = None
) -> dict[str, list[LedgerBox]]:
    """Return mined boxes by the tool id of their image.

    Args:
        session: at least for reading.
        source: the annotated project; None: all.
        images: only these images; None: all.
    """
    query = select(LedgerBox).join(Push, LedgerBox.push_id == Push.id)
    if source is not None:
        query = query.where(of_source(Push, source))
    if images is not None:
        query = query.where(named(LedgerBox.image_tool_id, images))
    found: dict[str, list[LedgerBox]] = {}
    for box in session.scalars(query.order_by(LedgerBox.region_id)):
        found.setdefault(box.image_tool_id, []).append(box)
    return found


def box_sizes(session: Session, source: Source | None = None) -> dict[str, tuple[int, int]]:
    """Return tool id -> upright (width, height) in pixels of images with mined boxes, where known.

    Args:
        session: at least for reading.
        source: the annotated project; None: all.
    """
    columns = LedgerBox.image_tool_id, LedgerBox.image_width, LedgerBox.image_height
    query = select(*columns).join(Push, LedgerBox.push_id == Push.id)
    if source is not None:
        query = query.where(of_source(Push, source))
    rows = session.execute(query.order_by(LedgerBox.region_id))
    return {
        tool_id: (width, height)
        for tool_id, width, height in rows
        if width is not None and height is not None
    }


def as_mined(boxes: Iterable[LedgerBox], dataset: Dataset) -> tuple[MinedBox, ...]:
    """Return ledger boxes as boxes of `dataset`.

    Leaves out boxes on images, or of categories, that the dataset lacks.
    """
    image_ids = {image.tool_id: image.id for image in dataset.images}
    category_ids = {category.name: category.id for category in dataset.categories}
    return tuple(
        MinedBox(
            region_id=box.region_id,
            image_id=image_ids[box.image_tool_id],
            category_id=category_ids[box.category],
            xyxy=box.xyxy,
            score=box.score,
            threshold=box.threshold,
            expected_precision=box.expected_precision,
        )
        for box in boxes
        if box.image_tool_id in image_ids and box.category in category_ids
    )


def mined_regions(session: Session) -> dict[str, ReviewedRegion]:
    """Return region id -> mined box as it was pushed, for the whole ledger."""
    box = LedgerBox
    columns = box.region_id, box.category, box.left, box.top, box.right, box.bottom
    return {
        id: ReviewedRegion(id, category, (left, top, right, bottom))
        for id, category, left, top, right, bottom in session.execute(select(*columns))
    }


def _regions(boxes: Iterable[LedgerBox]) -> dict[str, ReviewedRegion]:
    return {box.region_id: box.mined for box in boxes}


def _note_versions(session: Session, place: Place, versions: Mapping[str, str | None]) -> None:
    wanted = {tool_id: {"version": version} for tool_id, version in versions.items()}
    where = at_place(PushedVersion, place)
    save_rows(session, PushedVersion, "image_tool_id", where, wanted, asdict(place))


def _row(box: MinedBox, image: Image, category: str, push: Push) -> dict[str, Any]:
    left, top, right, bottom = box.xyxy
    return {
        "region_id": box.region_id,
        "push_id": push.id,
        "round": push.round,
        "image_tool_id": image.tool_id,
        "file_name": image.file_name,
        "category": category,
        "left": left,
        "top": top,
        "right": right,
        "bottom": bottom,
        "score": box.score,
        "threshold": box.threshold,
        "source_version": image.tool_version,
        "outcome": "pending",
        "expected_precision": box.expected_precision,
        "image_width": image.width,
        "image_height": image.height,
    }
