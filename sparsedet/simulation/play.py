"""Playing the reviewer through an annotation tool's own interface."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sparsedet.annotations import Dataset, Image
from sparsedet.annotations.image_names import match_file_names
from sparsedet.errors import SparseDetError
from sparsedet.scriptable_tool import OpenReview, ScriptableTool
from sparsedet.simulation.reviewer import Reviewer
from sparsedet.tool import Progress, no_progress


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """What the scripted reviewer did in a review project."""

    images: int
    """Images that were open."""
    reviewed: int
    """Images that were reviewed; the others are left for a person."""
    boxes: int
    """Mined boxes on the reviewed images."""
    accepted: int
    edited: int
    rejected: int
    unsure: int
    """Boxes that were left undecided: they stay pending."""
    drawn: int
    """Boxes that were added."""
    complete: int
    """Images that were marked as complete: every object has a box."""
    seconds: float
    """Time that a person would have spent."""


def simulate_reviews(
    tool: ScriptableTool,
    review_project: str,
    dataset: Dataset,
    reviewer: Reviewer,
    *,
    leave: int = 0,
    mark_complete: bool = True,
    progress: Progress = no_progress,
) -> SimulationReport:
    """Review whatever is open in a review project; a second call finds nothing left to do.

    Everything is checked before the first review is submitted.

    Args:
        tool: its account is the reviewer.
        review_project: as `PushReport` names it.
        dataset: the pulled annotations, which name the files of the tool's images.
        reviewer: knows the full annotations of at least the open images.
        leave: the last that many open images are left for a person.
        mark_complete: whether to mark images on which nothing is missing any more; False where
            the project has no control for it.
        progress: called after every image.

    Raises:
        SparseDetError: when an image is not in the pulled or in the full annotations, has another
            size there, or carries a mined box with a label that the full annotations lack.
        ToolError: when the tool refuses a review.
    """
    if leave < 0:
        raise SparseDetError(f"leave is {leave}, expected a number of images, 0 or more")
    waiting: Sequence[OpenReview] = list(tool.open_reviews(review_project))
    chosen = waiting[: max(len(waiting) - leave, 0)]
    names = _true_names(chosen, dataset, reviewer)
    _check_labels(chosen, reviewer)
    reviews = []
    for done, shown in enumerate(chosen):
        progress("reviewing", done, len(chosen))
        review = reviewer.review(names[shown.tool_id], shown.regions, shown.scores)
        review = replace(review, complete=review.complete and mark_complete)
        shown.submit(review.regions, seconds=review.seconds, complete=review.complete)
        reviews.append(review)
    progress("reviewing", len(chosen), len(chosen))
    return SimulationReport(
        images=len(waiting),
        reviewed=len(chosen),
        boxes=sum(len(shown.scores) for shown in chosen),
        accepted=sum(review.accepted for review in reviews),
        edited=sum(review.edited for review in reviews),
        rejected=sum(review.rejected for review in reviews),
        unsure=sum(review.unsure for review in reviews),
        drawn=sum(review.drawn for review in reviews),
        complete=sum(review.complete for review in reviews),
        seconds=sum(review.seconds for review in reviews),
    )


def _true_names(
    reviews: Sequence[OpenReview], dataset: Dataset, reviewer: Reviewer
) -> Mapping[str, str]:
    """Return the file name in the full annotations of every image, by its tool id."""
    pulled = {image.tool_id: image for image in dataset.images}
    images: dict[str, Image] = {}
    for review in reviews:
        if review.tool_id not in pulled:
            raise SparseDetError(
                f"the image with the tool's id {review.tool_id} is up for review, but is not in "
                "the pulled annotations; pull them again with `sparsedet pull`"
            )
        images[review.tool_id] = pulled[review.tool_id]
    names = match_file_names((image.file_name for image in images.values()), reviewer.images)
    for image in images.values():
        other = reviewer.images[names[image.file_name]]
        if (image.width, image.height) != (other.width, other.height):
            raise SparseDetError(
                f"image {image.file_name}: it has {image.width} x {image.height} pixels, but "
                f"{other.file_name} of the full annotations has {other.width} x {other.height}"
            )
    return {tool_id: names[image.file_name] for tool_id, image in images.items()}


def _check_labels(reviews: Sequence[OpenReview], reviewer: Reviewer) -> None:
    """Refuse mined boxes that would all be deleted because the labels are named differently."""
    for review in reviews:
        for region in review.regions:
            if region.region_id in review.scores and region.category not in reviewer.labels:
                raise SparseDetError(
                    f"mined box {region.region_id}: the full annotations have no category "
                    f"{region.category!r} (they have {', '.join(sorted(reviewer.labels))})"
                )
