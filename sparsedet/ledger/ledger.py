"""Reading and writing the ledger."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import ColumnElement, Engine, and_, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from sparsedet.annotations import Dataset, Image
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import SparseDetError
from sparsedet.ledger.database import create_or_check, for_writing, open_engine
from sparsedet.ledger.outcomes import (
    OutcomeCounts,
    RoundCounts,
    count_outcomes,
    count_rounds,
    settle,
)
from sparsedet.ledger.schema import LedgerBox, Place, Push, SourceImage
from sparsedet.tool import MergedImage, PushedImage, ReviewedImage


class Ledger:
    """The ledger of a workspace; the file is made when it is first opened.

    Several processes may use it at a time. Every method is one transaction.

    Raises:
        SparseDetError: when the file is no ledger, has the schema of another version, or can't be
            written.
    """

    def __init__(self, path: Path, *, must_exist: bool = False) -> None:
        if must_exist and not path.is_file():
            if not path.parent.is_dir():
                raise SparseDetError(f"{path.parent}: no such folder")
            raise SparseDetError(f"{path}: no ledger here; `sparsedet push` makes it")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._engine = open_engine(path)
        try:
            create_or_check(self._engine, path)
        except SparseDetError:
            self.close()
            raise

    def close(self) -> None:
        """Release the file."""
        self._engine.dispose()

    def record_push(
        self,
        push: Push,
        mined: Sequence[MinedBox],
        dataset: Dataset,
        skipped: Collection[str] = frozenset(),
    ) -> int:
        """Record a push and its boxes.

        Boxes that are known already stay as they are. Those of them that are pending take the
        version that their image has now, and the place, when they were pushed to another one.

        Args:
            push: where the boxes went, and which model mined them.
            mined: the boxes.
            dataset: the images that they were mined on; needs `Image.tool_id`.
            skipped: tool ids of images whose boxes could not be pushed; they are not recorded.

        Returns:
            The number of boxes that are new to the ledger.
        """
        pushed = [(box, _image_on_tool(box, dataset)) for box in mined]
        pushed = [(box, image) for box, image in pushed if image.tool_id not in skipped]
        with self._writing() as session:
            known_push = session.scalar(
                select(Push)
                .where(_is_at(Push, push.place))
                .where(Push.model_version == push.model_version, Push.round.is_(push.round))
            )
            if known_push is None:
                session.add(push)
                session.flush()
                known_push = push
            known = {box.region_id: box for box in session.scalars(select(LedgerBox))}
            versions: dict[str, str | None] = {}
            new = 0
            for mined_box, image in pushed:
                box = known.get(mined_box.region_id)
                if box is None:
                    box = _row(mined_box, image, known_push, dataset)
                    session.add(box)
                    new += 1
                elif box.outcome != "pending":
                    continue
                elif box.push.place != known_push.place:
                    box.push = known_push
                box.source_version = image.tool_version
                versions[box.image_tool_id] = image.tool_version
            for source, version in _source_images(session, known_push.place, versions):
                source.version = version
            return new

    def pushes(self) -> Sequence[Push]:
        """Return all pushes, oldest first."""
        with self._reading() as session:
            return session.scalars(select(Push).order_by(Push.id)).all()

    def places(self) -> list[Place]:
        """Return every place that was pushed to, the one of the oldest push first."""
        return list(dict.fromkeys(push.place for push in self.pushes()))

    def boxes(self, push: Push | None = None) -> Sequence[LedgerBox]:
        """Return the mined boxes of one push, or of all, in the order of their region ids."""
        query = select(LedgerBox).order_by(LedgerBox.region_id)
        if push is not None:
            query = query.where(LedgerBox.push_id == push.id)
        with self._reading() as session:
            return session.scalars(query).all()

    def pushed_images(self, place: Place) -> list[PushedImage]:
        """Return the images that were pushed to a place, each with all of its boxes there.

        For drafts an image has one entry for each version of its annotation that boxes were put
        onto: a save judges the boxes that it was shown, not those of a later draft.
        """
        region_ids: dict[str, set[str]] = {}
        with self._reading() as session:
            boxes = _boxes_at(session, place)
            if place.mode == "draft":
                return _by_version(boxes)
            for box in boxes:
                region_ids.setdefault(box.image_tool_id, set()).add(box.region_id)
            rows = session.scalars(select(SourceImage).where(_is_at(SourceImage, place)))
            sources = {source.image_tool_id: source for source in rows}
        return [
            PushedImage(
                tool_id,
                sources[tool_id].version if tool_id in sources else None,
                frozenset(ids),
                merged=tool_id in sources and sources[tool_id].merged_at is not None,
            )
            for tool_id, ids in region_ids.items()
        ]

    def relocate(self, tool: str, project: str, url: str) -> None:
        """Take note that the server of a project has another address now.

        Args:
            tool: name of the integration.
            project: the annotated project.
            url: its server's present address.
        """
        with self._writing() as session:
            for table in (Push, SourceImage):
                moved = and_(table.tool == tool, table.project == project, table.url != url)
                # An image may be known by both addresses; one row remains.
                session.execute(
                    update(table).where(moved).values(url=url).prefix_with("OR REPLACE")
                )

    def record_reviews(self, place: Place, reviewed: Sequence[ReviewedImage]) -> None:
        """Settle the outcome of every box at `place` from the reviews as they stand now.

        A box of an image that nobody submitted is pending, also when it had an outcome before:
        the tool holds the truth, a withdrawn review withdraws its outcomes. A box that none of its
        image's reviews was shown stays as it is: silence about it says nothing.

        Args:
            place: where the boxes were pushed.
            reviewed: all submitted reviews there.
        """
        by_image: dict[str, list[ReviewedImage]] = {}
        for image in reviewed:
            by_image.setdefault(image.tool_id, []).append(image)
        with self._writing() as session:
            for box in _boxes_at(session, place):
                reviews = by_image.get(box.image_tool_id, [])
                settle(box, reviews, in_source=place.mode == "draft")

    def record_merge(self, place: Place, merged: Sequence[MergedImage]) -> None:
        """Record that reviews at `place` were written into the annotated project.

        Args:
            place: where people reviewed.
            merged: what `AnnotationTool.merge` made of each image, with `write=True`.
        """
        done = {image.tool_id: image for image in merged if image.outcome != "conflict"}
        now = datetime.now(UTC)
        with self._writing() as session:
            for box in _boxes_at(session, place):
                if box.image_tool_id in done and box.outcome != "pending":
                    box.in_source = True
            versions = {tool_id: image.version for tool_id, image in done.items()}
            for source, version in _source_images(session, place, versions):
                source.merged_at = now
                if version is not None:
                    source.version = version

    def pending(self, dataset: Dataset) -> tuple[MinedBox, ...]:
        """Return the boxes that wait for a reviewer, as boxes of `dataset`.

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
            )
            for box in self.boxes()
            if box.outcome == "pending"
            and box.image_tool_id in image_ids
            and box.category in category_ids
        )

    def counts(self) -> OutcomeCounts:
        """Count outcomes over the whole ledger."""
        return count_outcomes(self.boxes())

    def rounds(self) -> list[RoundCounts]:
        """Count outcomes round by round; boxes that were pushed outside of rounds come last."""
        return count_rounds(self.boxes())

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        with self._transaction(self._engine) as session:
            yield session

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        with self._transaction(for_writing(self._engine)) as session:
            yield session

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Session]:
        try:
            with Session(engine, expire_on_commit=False) as session, session.begin():
                yield session
        except OperationalError as error:
            raise SparseDetError(f"{self.path}: the ledger can't be used ({error.orig})") from error


def _is_at(table: type[Push] | type[SourceImage], place: Place) -> ColumnElement[bool]:
    return and_(*(getattr(table, name) == value for name, value in asdict(place).items()))


def _boxes_at(session: Session, place: Place) -> Sequence[LedgerBox]:
    return session.scalars(
        select(LedgerBox)
        .join(Push, LedgerBox.push_id == Push.id)
        .where(_is_at(Push, place))
        .order_by(LedgerBox.region_id)
    ).all()


def _by_version(boxes: Sequence[LedgerBox]) -> list[PushedImage]:
    region_ids: dict[tuple[str, str | None], set[str]] = {}
    for box in boxes:
        key = box.image_tool_id, box.source_version
        region_ids.setdefault(key, set()).add(box.region_id)
    return [
        PushedImage(tool_id, version, frozenset(ids))
        for (tool_id, version), ids in region_ids.items()
    ]


def _source_images(
    session: Session, place: Place, versions: dict[str, str | None]
) -> Iterator[tuple[SourceImage, str | None]]:
    """Yield the row of each image in `versions`, made where there is none, and its version."""
    rows = session.scalars(select(SourceImage).where(_is_at(SourceImage, place)))
    known = {row.image_tool_id: row for row in rows}
    for tool_id, version in versions.items():
        if tool_id not in known:
            known[tool_id] = SourceImage(**asdict(place), image_tool_id=tool_id)
            session.add(known[tool_id])
        yield known[tool_id], version


def _image_on_tool(box: MinedBox, dataset: Dataset) -> Image:
    image = dataset.image_by_id[box.image_id]
    if image.tool_id is None:
        raise SparseDetError(
            f"image id {image.id} ({image.file_name}) has no tool_id: push needs a dataset that "
            "was pulled from the tool"
        )
    return image


def _row(box: MinedBox, image: Image, push: Push, dataset: Dataset) -> LedgerBox:
    left, top, right, bottom = box.xyxy
    return LedgerBox(
        region_id=box.region_id,
        push=push,
        round=push.round,
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
