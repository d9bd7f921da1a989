"""Merge reviews into the annotated project, and resolve conflicts.

What a merge replaces is saved first, in one file per image, so that it can be restored
(`merge_undo`).
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from sparsedet.atomic_io import write_json
from sparsedet.ledger import ImageReviews, Ledger, Source, written_to_json
from sparsedet.loop.merge_folders import image_file, next_folder
from sparsedet.loop.merge_undo import mark_undo_reported
from sparsedet.loop.reviews import Connections
from sparsedet.loop.round_files import read_merged
from sparsedet.loop.standing import apply_reviews
from sparsedet.loop.workspace import Workspace
from sparsedet.push_modes import Progress, no_progress
from sparsedet.reviews import (
    AnnotationRule,
    Changes,
    SourceState,
    after,
    as_written,
    changes,
    kept_by_source,
)
from sparsedet.tool import AnnotationTool, Applied, Plan, Replaced
from sparsedet.wording import counted

MergeOutcome = Literal["changed", "same", "overtaken", "conflict", "blocked", "emptied", "gone"]


@dataclass(frozen=True, slots=True)
class MergedImage:
    """The effect of a merge on one image, actual or planned."""

    tool_id: str
    outcome: MergeOutcome
    """`same`: the source already agrees with the reviews; `overtaken`: written at the same moment
    as somebody saved, so a person has to check; `conflict`: source and reviews changed a box in
    different ways; `blocked`: somebody has unsaved changes; `emptied`: every box would be deleted,
    which has to be confirmed; `gone`: the project no longer has the image."""
    added: int = 0
    """Number of boxes that the source lacks."""
    sampled: int = 0
    """Those of the added boxes that were accepted by sample, unseen."""
    edited: int = 0
    """Boxes of the source that reviewers moved or renamed."""
    removed: int = 0
    """Boxes of the source that reviewers deleted."""
    marked_complete: bool = False
    """Whether the reviews newly mark the image as complete."""
    completed_classes: tuple[str, ...] = ()
    """Classes of which they say that by themselves."""
    version: str | None = None
    """`Image.tool_version` of the source after the write; None if nothing was written."""
    detail: str = ""
    """Why it was left alone, or what else needs attention."""
    url: str = ""
    """URL of the image in the annotated project."""
    boxes: Mapping[str, str] = field(default_factory=dict)
    """For conflicts: region id -> what happened to the box on each side."""


class Merging:
    """Merges the reviews of a ledger.

    Args:
        ledger: the ledger with the current reviews (`collect_reviews`).
        connections: connections to the annotated projects.
        workspace: keeps what merges replace, below its newest round.
        rule: how to combine parallel reviews.
        progress: called for every image.
    """

    def __init__(
        self,
        ledger: Ledger,
        connections: Connections,
        workspace: Workspace,
        rule: AnnotationRule = "ground-truth-first",
        progress: Progress = no_progress,
    ) -> None:
        self.ledger = ledger
        self.connections = connections
        self.workspace = workspace
        self.rule = rule
        self.progress = progress

    def merge(
        self,
        *,
        write: bool,
        empty: bool = False,
        take_review: Collection[str] | None = None,
    ) -> list[MergedImage]:
        """Write all reviews to the annotated projects, or only report what that would do.

        Args:
            write: False for a dry run.
            empty: whether images may lose their last box.
            take_review: merge only these images, and let the review win conflicts.
        """
        folder = next_folder(self.workspace.merged) if write else None
        if write:
            mark_undo_reported(self.workspace)  # the next one undoes this merge
            apply_reviews(self.workspace, self.rule, self.ledger, take_review or ())
        merged: list[MergedImage] = []
        for source in self.ledger.sources():
            images = {
                image.tool_id: image
                for image in self.ledger.image_reviews(source)
                if image.reviews and (take_review is None or image.tool_id in take_review)
            }
            if images:
                merge = _Merge(self, source, images, folder, empty, take_review is not None)
                merged += merge.run()
        return merged

    def take_source(self, images: Collection[str]) -> int:
        """Resolve the conflicts of images in favour of the source: their reviews no longer count.

        Returns:
            The number of boxes.
        """
        conflicts = [i for i in self.merge(write=False) if i.outcome == "conflict"]
        boxes = 0
        for source in self.ledger.sources():
            known = {image.tool_id: image for image in self.ledger.image_reviews(source)}
            resolved = {}
            for image in conflicts:
                if image.tool_id in images and image.tool_id in known:
                    of_image = known[image.tool_id]
                    verdict = of_image.verdict(self.rule)
                    written = kept_by_source(image.boxes.keys(), verdict, of_image.written)
                    resolved[image.tool_id] = (written, None)
                    boxes += len(image.boxes)
            self.ledger.record_written(source, resolved)
        return boxes


class _Merge:
    """A merge into one annotated project."""

    def __init__(
        self,
        merging: Merging,
        source: Source,
        images: Mapping[str, ImageReviews],
        folder: Path | None,
        empty: bool,
        take_review: bool,
    ) -> None:
        self.merging = merging
        self.source = source
        self.images = images
        self.folder = folder
        self.empty = empty
        self.take_review = take_review
        self.verdicts = {id: image.verdict(merging.rule) for id, image in images.items()}
        self.held: dict[str, Changes] = {}
        """Changes that are skipped, since they would empty an image."""

    def run(self) -> list[MergedImage]:
        """Merge, and record each image as soon as it is written."""
        tool = self.merging.connections.tool(self.source)
        merged = []
        applied = tool.merge(
            self.source.project,
            {tool_id: self._plan(tool_id) for tool_id in self.images},
            sizes={id: image.size for id, image in self.images.items() if image.size},
            keep=self._keep if self.folder else None,
            progress=self.merging.progress,
        )
        for one in applied:
            if self.folder:
                self._record(one)
            merged.append(self._described(one, tool))
        return merged

    def _plan(self, tool_id: str) -> Plan:
        def plan(state: SourceState) -> Changes:
            found = changes(
                state,
                self.verdicts[tool_id],
                self.images[tool_id].written,
                take_review=self.take_review,
            )
            if not self.empty and found.removed and state.boxes and not after(state, found):
                self.held[tool_id] = found
                return Changes()
            self.held.pop(tool_id, None)
            return Changes() if state.blocked else found

        return plan

    def _keep(self, replaced: Replaced) -> None:
        assert self.folder is not None
        write_json(
            image_file(self.folder, self.source, replaced.tool_id),
            {
                "tool_id": replaced.tool_id,
                "source": asdict(self.source),
                "before": replaced.content,
                "written_before": written_to_json(self.images[replaced.tool_id].written),
                "written": None,
                "version": None,
            },
        )

    def _record(self, one: Applied) -> None:
        state, tool_id = one.state, one.tool_id
        if state is None or state.blocked or one.changes.conflicts or tool_id in self.held:
            return
        if one.overtaken:
            return  # the write may be lost: the next merge checks again
        written = as_written(
            state,
            one.changes,
            self.verdicts[tool_id],
            self.images[tool_id].written,
            one.version,
        )
        assert self.folder is not None
        path = image_file(self.folder, self.source, tool_id)
        if one.changes and path.is_file():
            # Before the ledger, which the next merge completes, and which is rebuilt from this.
            known = read_merged(path)
            write_json(path, known | {"written": written_to_json(written), "version": one.version})
        self.merging.ledger.record_written(self.source, {tool_id: (written, one.version)})

    def _described(self, one: Applied, tool: AnnotationTool) -> MergedImage:
        change = self.held.get(one.tool_id, one.changes)
        outcome: MergeOutcome = "changed" if change else "same"
        detail = one.overtaken
        if change.unknown:
            labels = ", ".join(sorted(set(change.unknown.values())))
            left_out = counted(len(change.unknown), "box")
            detail = detail or f"{left_out} left out, unknown labels: {labels}"
        if one.state is None:
            return MergedImage(one.tool_id, "gone", detail="the project no longer has it")
        if change.conflicts:
            outcome, detail = "conflict", one.state.saved
        elif one.state.blocked:
            outcome, detail = "blocked", one.state.blocked
        elif one.overtaken:
            outcome = "overtaken"
        elif one.tool_id in self.held:
            outcome, detail = "emptied", "its reviews delete every box"
        return MergedImage(
            tool_id=one.tool_id,
            outcome=outcome,
            added=len(change.added),
            sampled=sum(one.origin == "sampled" for one in change.added.values()),
            edited=len(change.edited),
            removed=len(change.removed),
            marked_complete=change.marks_complete,
            completed_classes=tuple(sorted(change.completed_classes)),
            version=one.version,
            detail=detail,
            url=tool.image_url(self.source.project, one.tool_id),
            boxes=change.conflicts,
        )
