"""Push boxes for review, and record that in the ledger.

A push states the complete set of boxes to show, so that boxes of older models disappear from open
tasks: a newer model's box replaces an older one on the same object.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sparsedet.annotations import Dataset, Image, file_digest
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.annotations.suspicions import Suspicion
from sparsedet.ledger import Ledger, Push, QueueEntry, as_mined
from sparsedet.loop.reimports import rename, renamed_images
from sparsedet.loop.reviews import Connections, Say
from sparsedet.loop.settings import Source
from sparsedet.push_modes import ModeName, Progress, PushReport, ToReview, no_progress
from sparsedet.runtime.garbage import few_collections
from sparsedet.sheets import SheetFile
from sparsedet.tool import AnnotationTool


@dataclass(frozen=True, slots=True)
class UpForReview:
    """The boxes that are up for review after a push."""

    boxes: tuple[MinedBox, ...]
    """New boxes, then those that stay."""
    withdrawn: frozenset[str]
    """Region ids of older, unreviewed boxes that newer ones replace."""


@few_collections()
def up_for_review(
    ledger: Ledger,
    dataset: Dataset,
    new: Sequence[MinedBox],
    model_version: str,
    held_back: Collection[int] = (),
) -> UpForReview:
    """Return which boxes are to be up for review, and which are to be withdrawn.

    Boxes judged by reviewers are not shown again. Boxes of this model that already wait stay; so do
    boxes left undecided, which adapters show again only in a new place. Boxes held by this model's
    lots stay held.

    Args:
        ledger: the ledger with all reviews.
        dataset: the images that the model mined on.
        new: the boxes it mined.
        model_version: its name.
        held_back: ids of images that show no mined box.
    """
    ids = {box.region_id for box in new}
    rows = {box.region_id: box for box in ledger.boxes()}
    judged = {id for id, row in rows.items() if row.is_judged}
    # After an interrupted push the new boxes may be in the ledger already.
    pending = (row for id, row in rows.items() if row.outcome == "pending" and id not in ids)
    waiting = as_mined(pending, dataset)
    stay = [
        box
        for box in waiting
        if box.image_id not in held_back
        and not rows[box.region_id].is_held
        and (
            rows[box.region_id].is_reviewed
            or rows[box.region_id].push.model_version == model_version
        )
    ]
    images = {image.tool_id for image in dataset.images}
    replaced = {
        id
        for id, row in rows.items()
        if row.outcome == "pending"
        and row.image_tool_id in images
        and not row.is_reviewed
        and not (row.is_held and row.push.model_version == model_version)
    }
    return UpForReview(
        boxes=(*(box for box in new if box.region_id not in judged), *stay),
        withdrawn=frozenset(replaced - ids - {box.region_id for box in stay}),
    )


@dataclass(frozen=True)
class Pusher:
    """Pushes boxes of one source, and records that.

    Attributes:
        ledger: the record.
        connections: connections to the source and to earlier places.
        source: the annotated project.
        mode: how boxes are reviewed.
        images: the image folder of the dataset.
        say: receives messages for the user.
        progress: called for every image.
    """

    ledger: Ledger
    connections: Connections
    source: Source
    mode: ModeName
    images: Path
    say: Say
    progress: Progress = no_progress

    @property
    def tool(self) -> AnnotationTool:
        """The connection to the source."""
        return self.connections.tool(self.connections.ledger_source(self.source))

    @few_collections()
    def push(
        self,
        dataset: Dataset,
        wanted: UpForReview,
        *,
        model_version: str,
        round: int | None = None,
        queue: Sequence[QueueEntry] = (),
        sheets: Sequence[SheetFile] = (),
        suspicions: Sequence[Suspicion] = (),
        dry_run: bool = False,
    ) -> tuple[PushReport, int]:
        """Push and record boxes; return the report, and the number of new boxes.

        Images imported again under other ids since are found by their content. The ledger is
        written after the push, which recognises what it created before: if only this step is
        interrupted, the next push creates nothing and records everything.
        """
        asked = queue, suspicions
        report = self._push(dataset, wanted, model_version, *asked, sheets, dry_run=dry_run)
        if report.gone:
            found, names = self._found_again(dataset, report, dry_run=dry_run)
            if names:
                first, dataset = report, found
                again = [replace(file, sheet=file.sheet.renamed(names)) for file in sheets]
                report = self._push(dataset, wanted, model_version, *asked, again, dry_run=dry_run)
                if not dry_run:
                    created, deleted = (
                        first.created + report.created,
                        first.deleted + report.deleted,
                    )
                    report = replace(report, created=created, deleted=deleted)
        for line in report.skipped_lines():
            self.say(line)
        if dry_run:
            return report, 0
        new = self.ledger.record_push(
            Push(
                tool=self.source.tool,
                url=self.tool.url,
                project=self.source.project,
                review_project=report.review_project,
                model_version=model_version,
                mode=self.mode,
                round=round,
            ),
            wanted.boxes,
            dataset,
            frozenset(report.skipped),
            self._digests(dataset, [box.image_id for box in wanted.boxes], queue),
            queue=queue,
        )
        self.ledger.withdraw(wanted.withdrawn)
        return report, new

    def hold(
        self,
        dataset: Dataset,
        boxes: Sequence[MinedBox],
        lot: str,
        *,
        model_version: str,
        round: int,
    ) -> None:
        """Record boxes that wait for their lot's sample; they are not up for review anywhere.

        Args:
            dataset: the images that the model mined on.
            boxes: the lot's boxes without its sample.
            lot: the ledger's name for their place.
            model_version: names the model.
            round: number of the round.
        """
        push = Push(
            tool=self.source.tool,
            url=self.tool.url,
            project=self.source.project,
            review_project=lot,
            model_version=model_version,
            mode="sampled",
            round=round,
        )
        digests = self._digests(dataset, [box.image_id for box in boxes], ())
        self.ledger.record_push(push, boxes, dataset, digests=digests)

    def _push(
        self,
        dataset: Dataset,
        wanted: UpForReview,
        model_version: str,
        queue: Sequence[QueueEntry],
        suspicions: Sequence[Suspicion],
        sheets: Sequence[SheetFile],
        *,
        dry_run: bool,
    ) -> PushReport:
        withdrawn = wanted.withdrawn
        if wanted.boxes or wanted.withdrawn or queue:
            # A request that arrived late may have put them up again.
            withdrawn |= self._withdrawn_before(wanted)
        return self.tool.push_modes[self.mode].push(
            self.source.project,
            ToReview(
                dataset,
                wanted.boxes,
                model_version,
                queue=[entry.image_id for entry in queue],
                judge_only=frozenset(entry.image_id for entry in queue if entry.judge_only),
                missing={entry.image_id: entry.missing for entry in queue},
                sheets=sheets,
                suspicions=suspicions,
                withdrawn=withdrawn,
            ),
            dry_run=dry_run,
            progress=self.progress,
        )

    def _withdrawn_before(self, wanted: UpForReview) -> set[str]:
        """Return the region ids of withdrawn boxes, without those that go up again."""
        known = {box.region_id for box in self.ledger.boxes() if box.outcome == "withdrawn"}
        return known - {box.region_id for box in wanted.boxes}

    def _found_again(
        self, dataset: Dataset, report: PushReport, *, dry_run: bool
    ) -> tuple[Dataset, Mapping[str, str]]:
        """Return the dataset with current ids for images imported again (old -> new).

        Without any, it is the dataset itself.
        """
        pulled = self.tool.pull(self.source.project, self.images, self.progress)
        gone = {
            image.tool_id: (file_digest(self.images / image.file_name), (image.width, image.height))
            for image in dataset.images
            if image.tool_id in report.gone and image.tool_id not in pulled.not_pulled
        }
        # A deleted id may name another image now.
        known = {image.tool_id for image in dataset.images} - report.gone
        names = renamed_images(gone, pulled, self.images, known)
        if not names:
            return dataset, {}
        if not dry_run:
            rename(self.ledger, self.connections, self.source, names, self.say)
        now = {image.tool_id: image for image in pulled.images}

        def present(image: Image) -> Image:
            if image.tool_id not in names:
                return image
            found = now[names[image.tool_id]]
            return replace(
                image,
                tool_id=found.tool_id,
                tool_version=found.tool_version,
                file_name=found.file_name,
            )

        return replace(dataset, images=tuple(present(image) for image in dataset.images)), names

    def _digests(
        self, dataset: Dataset, with_boxes: Iterable[int], queue: Iterable[QueueEntry]
    ) -> dict[str, str]:
        """Return a content digest for each pushed image, with or without boxes."""
        known = self.ledger.digests()
        ids = {*with_boxes, *(entry.image_id for entry in queue)}
        return {
            image.tool_id: file_digest(self.images / image.file_name)
            for image in (dataset.image_by_id[id] for id in ids)
            if image.tool_id is not None
            and image.tool_id not in known
            and (self.images / image.file_name).is_file()
        }
