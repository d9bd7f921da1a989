"""Play the reviewer through an annotation tool's own interface."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparsedet.annotations import Dataset, Image
from sparsedet.annotations.image_names import match_file_names
from sparsedet.errors import SparseDetError
from sparsedet.push_modes import Progress, no_progress
from sparsedet.reviews import ReviewedRegion
from sparsedet.scriptable_tool import OpenReview, ScriptableTool
from sparsedet.simulation.reviewer import Review, Reviewer
from sparsedet.simulation.sheets import review_sheet

_ROUNDING = 1e-6
"""Tolerance in seconds when comparing a sum of times with a budget."""


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """The scripted reviewer's work in a review project."""

    images: int
    """Number of open images."""
    reviewed: int
    """Number of reviewed images; the others stay open."""
    boxes: int
    """Mined boxes on the reviewed images."""
    accepted: int
    edited: int
    rejected: int
    unsure: int
    """Boxes left undecided: they stay pending."""
    drawn: int
    """Number of missing boxes drawn."""
    complete: int
    """Number of images marked as complete."""
    seconds: float
    """Time in seconds that a person would have spent."""


@dataclass(frozen=True, slots=True)
class PlannedReviews:
    """Validated reviews, ready to submit."""

    open: int
    """Number of open images, of which the planned ones come first."""
    reviews: Sequence[tuple[OpenReview, Review]]
    """In the tool's order."""

    def submit(self, progress: Progress = no_progress) -> SimulationReport:
        """Submit the reviews, in order.

        Args:
            progress: called after every image.

        Raises:
            ToolError: when the tool refuses a review.
        """
        for done, (shown, review) in enumerate(self.reviews):
            progress("reviewing", done, len(self.reviews))
            shown.submit(review.regions, seconds=review.seconds, complete=review.complete)
        progress("reviewing", len(self.reviews), len(self.reviews))
        reviews = [review for _, review in self.reviews]
        return SimulationReport(
            images=self.open,
            reviewed=len(reviews),
            boxes=sum(review.boxes for review in reviews),
            accepted=sum(review.accepted for review in reviews),
            edited=sum(review.edited for review in reviews),
            rejected=sum(review.rejected for review in reviews),
            unsure=sum(review.unsure for review in reviews),
            drawn=sum(review.drawn for review in reviews),
            complete=sum(review.complete for review in reviews),
            seconds=math.fsum(review.seconds for review in reviews),
        )


def plan_reviews(
    tool: ScriptableTool,
    review_project: str,
    dataset: Dataset,
    reviewer: Reviewer,
    *,
    leave: int = 0,
    budget: float | None = None,
    images: int | None = None,
) -> PlannedReviews:
    """Return reviews of a review project's open images, in the tool's order.

    Everything is validated before the first review is submitted. After `submit` without limits,
    nothing is left to do.

    Args:
        tool: its account is the reviewer.
        review_project: as in `PushReport`.
        dataset: the pulled annotations, with the file names of the tool's images, and the valid
            labels of drawn boxes.
        reviewer: a reviewer with full annotations of at least the images to review.
        leave: number of last open images to leave for a person.
        budget: seconds of the reviewer's time; the image that would exceed it stays open, and so do
            all after it. None: unlimited.
        images: maximum number of images to review; None: unlimited.

    Raises:
        SparseDetError: when an image is missing from the pulled or the full annotations, or has
            another size there; when a mined box has a label that the full annotations lack; when a
            box to draw has a label that the pulled annotations lack; when a limit is negative.
    """
    for name, limit, unit in (
        ("leave", leave, "a number of images"),
        ("budget", budget, "seconds"),
        ("images", images, "a number of images"),
    ):
        if limit is not None and not limit >= 0:  # also refuses nan
            raise SparseDetError(f"{name} is {limit}, expected {unit}, 0 or more")
    waiting: Sequence[OpenReview] = list(tool.open_reviews(review_project))
    chosen = waiting[: max(len(waiting) - leave, 0)][:images]
    names = _true_names(chosen, dataset, reviewer)
    people = annotated_regions(dataset)
    _check_labels(chosen, reviewer)
    planned: list[tuple[OpenReview, Review]] = []
    spent = 0.0
    for shown in chosen:
        review = reviewed(shown, reviewer, names, people)
        spent += review.seconds
        if budget is not None and spent > budget + _ROUNDING:
            break
        planned.append((shown, review))
    _check_drawn(planned, dataset)
    return PlannedReviews(len(waiting), planned)


def reviewed(
    shown: OpenReview,
    reviewer: Reviewer,
    names: Mapping[str, str],
    people: Mapping[str, Sequence[ReviewedRegion]],
) -> Review:
    """Return the review of an image, or of a contact sheet.

    Args:
        shown: the image or sheet.
        reviewer: a reviewer with full annotations.
        names: tool id -> image name in the full annotations.
        people: see `annotated_regions`.
    """
    if shown.sheet is not None:
        return review_sheet(
            reviewer, shown.sheet, shown.regions, shown.scores, people=people, names=names
        )
    return reviewer.review(
        names[shown.tool_id], shown.regions, shown.scores, judge_only=shown.judge_only
    )


def annotated_regions(dataset: Dataset) -> dict[str, list[ReviewedRegion]]:
    """Return the annotations of each image, by tool id."""
    return {
        image.tool_id or image.file_name: [
            ReviewedRegion(
                box.tool_id or str(box.id), dataset.category_by_id[box.category_id].name, box.xyxy
            )
            for box in dataset.boxes_by_image[image.id]
        ]
        for image in dataset.images
    }


def _true_names(
    reviews: Sequence[OpenReview], dataset: Dataset, reviewer: Reviewer
) -> Mapping[str, str]:
    """Return the file name in the full annotations of every image, by tool id."""
    pulled = {image.tool_id: image for image in dataset.images}
    images: dict[str, Image] = {}
    shown = (
        tool_id
        for review in reviews
        for tool_id in (
            [review.tool_id]
            if review.sheet is None
            else [crop.tool_id for crop in review.sheet.crops]
        )
    )
    for tool_id in shown:
        if tool_id not in pulled:
            raise SparseDetError(
                f"image with tool id {tool_id} is up for review but missing from the pulled "
                "annotations; pull them again with `sparsedet pull`"
            )
        images[tool_id] = pulled[tool_id]
    names = match_file_names((image.file_name for image in images.values()), reviewer.images)
    for image in images.values():
        other = reviewer.images[names[image.file_name]]
        if (image.width, image.height) != (other.width, other.height):
            raise SparseDetError(
                f"image {image.file_name}: {image.width} x {image.height} pixels, but "
                f"{other.file_name} of the full annotations has {other.width} x {other.height}"
            )
    return {tool_id: names[image.file_name] for tool_id, image in images.items()}


def _check_labels(reviews: Sequence[OpenReview], reviewer: Reviewer) -> None:
    """Refuse mined boxes that would all be deleted because labels have other names."""
    for review in reviews:
        for region in review.regions:
            if region.region_id in review.scores and region.category not in reviewer.labels:
                raise SparseDetError(
                    f"mined box {region.region_id}: the full annotations have no category "
                    f"{region.category!r} (they have {', '.join(sorted(reviewer.labels))})"
                )


def _check_drawn(planned: Sequence[tuple[OpenReview, Review]], dataset: Dataset) -> None:
    """Refuse boxes to draw without a label in the project: the tool would, halfway through."""
    labels = {category.name for category in dataset.categories}
    for shown, review in planned:
        known = {region.region_id for region in shown.regions}
        for region in review.regions:
            if region.region_id not in known and region.category not in labels:
                raise SparseDetError(
                    f"image {shown.tool_id}: a missing {region.category!r} can't be drawn: the "
                    f"project has no such label (it has {', '.join(sorted(labels))}); add the "
                    "label there and pull, or remove its objects from the full annotations"
                )
