"""Rounds with a scripted reviewer instead of people, measured against the full truth.

Used by demos and benchmarks. Workspace, training and annotation tool are real; only the review is
scripted, and only this file knows which objects are missing.

The script's actions in a round are stored in the round's `rehearsed.json`, image by image, before
they are submitted: an interrupted rehearsal resumes with the figures of an uninterrupted one.
"""

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from sparsedet.annotations import XYXY, Dataset, read_coco
from sparsedet.annotations.image_names import match_file_names
from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix, match
from sparsedet.atomic_io import write_json
from sparsedet.completeness.budget import Budget
from sparsedet.errors import SparseDetError
from sparsedet.ledger import Ledger, OutcomeCounts
from sparsedet.loop.round_files import read_evaluation, read_push, read_rehearsed
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.round_report import review_projects
from sparsedet.loop.rounds import Rounds
from sparsedet.push_modes import Progress, no_progress
from sparsedet.scriptable_tool import ScriptableTool
from sparsedet.simulation import PlannedReviews, Reviewer, plan_reviews, true_objects


@dataclass(frozen=True, slots=True)
class RehearsedRound:
    """Figures of a round that require the truth."""

    round: int
    annotations: int
    """Number of boxes that it trained on."""
    missing: int
    """Objects without a box of their class at its start."""
    missing_after: int
    """Objects without one after its review."""
    outcomes: OutcomeCounts
    """Outcomes of its mined boxes."""
    drawn: int
    """Number of missing boxes that its reviewer drew."""
    seconds: float
    """The reviewer's time."""
    complete_images: int
    """Number of images that its reviewer marked as complete."""
    ap: float | None
    """AP of the round's model; None if the workspace has no evaluation data."""
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
        self,
        count: int,
        until: float | None = None,
        *,
        budgets: Sequence[Budget] = (),
        leave_last: int = 0,
        progress: Progress = no_progress,
    ) -> list[RehearsedRound]:
        """Run rounds, resuming an interrupted call, and return their figures.

        Args:
            count: total number of rounds.
            until: stop after the first round whose review leaves at least this share of the objects
                with a box of their class, above 0 to 1; None: run all rounds.
            budgets: limit the queues of the first rounds; later ones are unlimited.
            leave_last: number of images in the review of round `count` to leave for a person.
            progress: of the reviews.

        Raises:
            SparseDetError: when `until` is out of range.
        """
        if until is not None and not 0 < until <= 1:
            raise SparseDetError(f"until is {until}, expected a share above 0, up to 1")
        workspace = self.rounds.workspace
        done = 0
        for number in range(1, count + 1):
            if not workspace.round(number).push.exists():
                budget = budgets[number - 1] if number <= len(budgets) else None
                self.rounds.advance(force=True, push_anyway=True, budget=budget)
            if len(workspace.all_rounds()) == number:
                self._review(number, leave_last if number == count else 0, progress)
            done = number
            if until is not None or number == count:
                self._refresh_after(number)
            if until is not None and self._share(self._after(number)) >= until:
                break
        with closing(Ledger(workspace.ledger)) as ledger:
            outcomes = {counts.round: counts.outcomes for counts in ledger.rounds()}
        return [
            self._figures(number, outcomes.get(number, OutcomeCounts()))
            for number in range(1, done + 1)
        ]

    def missing(self, dataset: Dataset) -> int:
        """Count the objects without an annotation of their class, matched one to one."""
        return self._counts(dataset)[0]

    def _figures(self, number: int, outcomes: OutcomeCounts) -> RehearsedRound:
        folder = self.rounds.workspace.round(number)
        before = read_coco(folder.annotations)
        measured = read_evaluation(folder)
        images = read_rehearsed(folder).values()
        return RehearsedRound(
            round=number,
            annotations=len(before.boxes),
            missing=self.missing(before),
            missing_after=self.missing(self._after(number)),
            outcomes=outcomes,
            drawn=sum(image["drawn"] for image in images),
            seconds=math.fsum(image["seconds"] for image in images),
            complete_images=sum(image["complete"] for image in images),
            ap=measured.get("AP"),
            ap50=measured.get("AP50"),
        )

    def _refresh_after(self, number: int) -> None:
        """Update the workspace's annotations to the reviews of its last round."""
        if not self.rounds.workspace.round(number + 1).annotations.exists():
            self.rounds.refresh()

    def _after(self, number: int) -> Dataset:
        """Return the annotations with a round's reviews: those that the next one began with."""
        workspace = self.rounds.workspace
        following = workspace.round(number + 1).annotations
        return read_coco(following if following.exists() else workspace.annotations)

    def _share(self, dataset: Dataset) -> float:
        """Return the share of the objects that have an annotation of their class, 0 to 1."""
        missing, objects = self._counts(dataset)
        return (objects - missing) / objects if objects else 1.0

    def _counts(self, dataset: Dataset) -> tuple[int, int]:
        """Count the objects without an annotation of their class, and all of these classes."""
        objects = true_objects(self.truth)
        names = match_file_names((image.file_name for image in dataset.images), objects)
        missing = total = 0
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
                total += len(there)
        return missing, total

    def _review(self, number: int, leave: int, progress: Progress) -> None:
        """Review the open images; a push without images has nothing to review."""
        folder = self.rounds.workspace.round(number)
        places = review_projects(folder) if read_push(folder).get("images") else []
        for place in reversed(places):  # contact sheets first
            planned = plan_reviews(
                self.tool,
                place,
                read_coco(folder.annotations),
                self.reviewer,
                leave=leave if place == places[0] else 0,
            )
            _remember(folder, planned)
            planned.submit(progress)
        self.rounds.collect(folder)


def _remember(folder: RoundFolder, planned: PlannedReviews) -> None:
    """Add planned reviews to a round's record; those planned before are unchanged."""
    new = {
        shown.tool_id: {
            "drawn": review.drawn,
            "seconds": review.seconds,
            "complete": review.complete,
        }
        for shown, review in planned.reviews
    }
    write_json(folder.rehearsed, {"images": {**read_rehearsed(folder), **new}}, indent=1)


def _shown(drawn: Sequence[XYXY], there: Sequence[XYXY]) -> int:
    """Return how many of the objects `there` have a box among `drawn`."""
    return int((match(iou_matrix(drawn, there), SAME_OBJECT_IOU) >= 0).sum())
