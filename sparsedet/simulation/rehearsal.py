"""Rounds with a scripted reviewer in place of people, measured against the full truth.

What demos and benchmarks run. Workspace, training and annotation tool are the real ones; only the
review is scripted, and only this file knows which objects are missing.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from sparsedet.annotations import XYXY, Dataset, read_coco
from sparsedet.annotations.image_names import match_file_names
from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix, match
from sparsedet.atomic_io import read_json
from sparsedet.ledger import Ledger, OutcomeCounts
from sparsedet.loop.rounds import Rounds
from sparsedet.scriptable_tool import ScriptableTool
from sparsedet.simulation import Reviewer, simulate_reviews, true_objects
from sparsedet.tool import Progress, no_progress


@dataclass(frozen=True, slots=True)
class RehearsedRound:
    """A round in figures that only the truth can give."""

    round: int
    annotations: int
    """Boxes that it trained on."""
    missing: int
    """Objects without a box of their class when it began."""
    missing_after: int
    """Objects without one after its review."""
    outcomes: OutcomeCounts
    """What became of its mined boxes."""
    ap: float | None
    """Of the round's model; None where the workspace names nothing to measure on."""
    ap50: float | None


class Rehearsal:
    """Runs rounds in a workspace and reviews them by script.

    Args:
        rounds: the workspace's rounds; its tool has to be `tool`.
        tool: takes scripted reviews.
        truth: the full annotations of the project's images.
        reviewer: the script.
    """

    def __init__(
        self, rounds: Rounds, tool: ScriptableTool, truth: Dataset, reviewer: Reviewer
    ) -> None:
        self.rounds = rounds
        self.tool = tool
        self.truth = truth
        self.reviewer = reviewer

    def run(
        self, count: int, *, leave_last: int = 0, progress: Progress = no_progress
    ) -> list[RehearsedRound]:
        """Run `count` rounds, resuming where an earlier call stopped, and return their figures.

        Args:
            count: rounds in all.
            leave_last: images of the last round's review that are left for a person.
            progress: of the reviews.
        """
        workspace = self.rounds.workspace
        for number in range(1, count + 1):
            if not workspace.round(number).push.exists():
                self.rounds.advance(force=True, push_anyway=True)
            if len(workspace.all_rounds()) == number:
                self._review(number, leave_last if number == count else 0, progress)
        self.rounds.refresh()
        with closing(Ledger(workspace.ledger)) as ledger:
            outcomes = {counts.round: counts.outcomes for counts in ledger.rounds()}
        return [
            self._figures(number, outcomes.get(number, OutcomeCounts()), last=number == count)
            for number in range(1, count + 1)
        ]

    def _figures(self, number: int, outcomes: OutcomeCounts, *, last: bool) -> RehearsedRound:
        workspace = self.rounds.workspace
        folder = workspace.round(number)
        before = read_coco(folder.annotations)
        after = workspace.annotations if last else workspace.round(number + 1).annotations
        measured = read_json(folder.evaluation) if folder.evaluation.exists() else {}
        return RehearsedRound(
            round=number,
            annotations=len(before.boxes),
            missing=self.missing(before),
            missing_after=self.missing(read_coco(after)),
            outcomes=outcomes,
            ap=measured.get("AP"),
            ap50=measured.get("AP50"),
        )

    def missing(self, dataset: Dataset) -> int:
        """Count the objects without an annotation of their class, one to one."""
        objects = true_objects(self.truth)
        names = match_file_names((image.file_name for image in dataset.images), objects)
        missing = 0
        for image in dataset.images:
            for category in dataset.categories:
                drawn = [
                    box.xyxy
                    for box in dataset.boxes_by_image[image.id]
                    if box.category_id == category.id
                ]
                there = [
                    thing.xyxy
                    for thing in objects[names[image.file_name]]
                    if thing.category == category.name
                ]
                missing += len(there) - _shown(drawn, there)
        return missing

    def _review(self, number: int, leave: int, progress: Progress) -> None:
        """Review what is open; a push without boxes has made nothing to review."""
        folder = self.rounds.workspace.round(number)
        record = read_json(folder.push)
        if record["boxes"]:
            simulate_reviews(
                self.tool,
                record["review_project"],
                read_coco(folder.annotations),
                self.reviewer,
                leave=leave,
                progress=progress,
            )
        self.rounds.collect(folder)


def _shown(drawn: Sequence[XYXY], there: Sequence[XYXY]) -> int:
    """Return how many of the objects `there` have a box among `drawn`."""
    return int((match(iou_matrix(drawn, there), SAME_OBJECT_IOU) >= 0).sum())
