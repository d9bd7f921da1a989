"""What was pushed, where, and in which state its images were."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from sparsedet.annotations import Dataset, Image
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.ledger.queue import OnQueuedImage, queued_sizes, replace_queue, tool_id_of
from sparsedet.ledger.review_json import read_written
from sparsedet.ledger.schema import (
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
from sparsedet.ledger.source_changes import resize, source_images
from sparsedet.push_modes import PushedImage
from sparsedet.reviews import NOTHING_WRITTEN, ReviewedRegion

OnImage = tuple[MinedBox, Image, str]
"""A mined box, its image and the name of its category."""


def on_images(
    mined: Iterable[MinedBox], dataset: Dataset, skipped: Collection[str]
) -> list[OnImage]:
    """Return the boxes with what the ledger notes of their images, skipped images left out.

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
        # A draft holds mined boxes: images without any are not shown.
        queue = [one for one in queue if one.tool_id in images]
    images |= {one.tool_id: one.image for one in queue}
    resize(session, {id: (image.width, image.height) for id, image in images.items()}, at.source)
    recorded = session.scalar(
        select(Push)
        .where(at_place(Push, at))
        .where(Push.model_version == push.model_version, Push.round.is_(push.round))
    )
    if recorded is None:
        session.add(push)
        session.flush()
        recorded = push
    # Whatever was deleted there before: now there is something again.
    session.execute(update(Push).where(at_place(Push, at)).values(gone=False))
    known = {box.region_id: box for box in session.scalars(select(LedgerBox))}
    versions = {one.tool_id: one.image.tool_version for one in queue}
    new = 0
    for mined, image, category in boxes:
        box = known.get(mined.region_id)
        if box is None:
            box = _row(mined, image, category, recorded)
            session.add(box)
            new += 1
        elif box.is_decided:
            continue
        else:
            box.outcome = "pending"
            if box.push.place != at:
                box.push = recorded
        if mined.expected_precision is not None:
            box.expected_precision = mined.expected_precision
        box.source_version = image.tool_version
        versions[box.image_tool_id] = image.tool_version
    replace_queue(session, recorded, queue)
    _note_versions(session, at, versions)
    digested = images.keys() & digests.keys()
    for tool_id, row in source_images(session, at.source, digested).items():
        row.digest = digests[tool_id]
    return new


def restore_push(
    session: Session,
    push: Push,
    boxes: Sequence[OnImage],
    queue: Sequence[OnQueuedImage],
    withdrawn: Collection[str],
) -> int:
    """Add what is missing of a push; see `LedgerCheckup.restore_push`."""
    at = push.place
    recorded = session.scalar(
        select(Push)
        .where(at_place(Push, at))
        .where(Push.model_version == push.model_version, Push.round.is_(push.round))
    )
    if recorded is None:
        session.add(push)
        session.flush()
        recorded = push
    known = set(session.scalars(select(LedgerBox.region_id)))
    missing = [one for one in boxes if one[0].region_id not in known]
    for mined, image, category in missing:
        row = _row(mined, image, category, recorded)
        row.source_version = image.tool_version
        if mined.region_id in withdrawn:
            row.outcome = "withdrawn"
        session.add(row)
    has_queue = session.scalar(select(QueuedImage.id).where(QueuedImage.push_id == recorded.id))
    if has_queue is None and at.mode not in ("draft", "sampled"):
        replace_queue(session, recorded, queue)
    noted = select(PushedVersion.image_tool_id).where(at_place(PushedVersion, at))
    images = {str(image.tool_id): image for _, image, _ in missing}
    new = images.keys() - set(session.scalars(noted))
    _note_versions(session, at, {tool_id: images[tool_id].tool_version for tool_id in new})
    return len(missing)


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
        session: for reading at least.
        source: the annotated project; None: all.
        images: the only images wanted; None: all.
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


def as_mined(boxes: Iterable[LedgerBox], dataset: Dataset) -> tuple[MinedBox, ...]:
    """Return boxes of a ledger as boxes of `dataset`.

    Boxes on images that the dataset lacks, and of categories that it lacks, are left out.
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
    """Return region id -> mined box as it was pushed, of the whole ledger."""
    box = LedgerBox
    columns = box.region_id, box.category, box.left, box.top, box.right, box.bottom
    return {
        id: ReviewedRegion(id, category, (left, top, right, bottom))
        for id, category, left, top, right, bottom in session.execute(select(*columns))
    }


def _regions(boxes: Iterable[LedgerBox]) -> dict[str, ReviewedRegion]:
    return {box.region_id: box.mined for box in boxes}


def _note_versions(session: Session, place: Place, versions: Mapping[str, str | None]) -> None:
    rows = session.scalars(select(PushedVersion).where(at_place(PushedVersion, place)))
    known = {row.image_tool_id: row for row in rows}
    for tool_id, version in versions.items():
        if tool_id in known:
            known[tool_id].version = version
        else:
            session.add(PushedVersion(**asdict(place), image_tool_id=tool_id, version=version))


def _row(box: MinedBox, image: Image, category: str, push: Push) -> LedgerBox:
    left, top, right, bottom = box.xyxy
    return LedgerBox(
        region_id=box.region_id,
        push=push,
        round=push.round,
        image_tool_id=image.tool_id,
        file_name=image.file_name,
        category=category,
        left=left,
        top=top,
        right=right,
        bottom=bottom,
        score=box.score,
        threshold=box.threshold,
        outcome="pending",
        expected_precision=box.expected_precision,
        image_width=image.width,
        image_height=image.height,
    )
