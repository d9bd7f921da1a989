"""What became of a mined box in a review."""

from collections.abc import Sequence

from sparsedet.annotations import XYXY
from sparsedet.ledger.tables import LedgerBox, Outcome
from sparsedet.tool import MOVED_PIXELS, ReviewedImage, ReviewedRegion


def judge(mined_category: str, mined: XYXY, final: ReviewedRegion | None) -> Outcome:
    """Return what became of a mined box in a submitted review.

    The tool's own idea of what was edited is not asked: only label and edges count, and a reviewer
    who left the box undecided.
    """
    if final is None:
        return "rejected"
    if final.unsure:
        return "pending"
    moved = max(abs(a - b) for a, b in zip(mined, final.xyxy, strict=True))
    return "edited" if final.category != mined_category or moved > MOVED_PIXELS else "accepted"


def settle(box: LedgerBox, reviews: Sequence[ReviewedImage], *, in_source: bool) -> None:
    """Set the outcome of a box from all reviews of its image as they stand now.

    Without any review the box is pending, also when it had an outcome before. A box that none of
    the reviews was shown stays as it is. Of several that were shown it the last one decides; where
    it only left things as they were, the credit stays with the review that made them so.

    Args:
        box: is changed.
        reviews: of the box's image, oldest first.
        in_source: the reviews are the annotated project's own annotations.
    """
    judging = [review for review in reviews if box.region_id in review.shown]
    if reviews and not judging:
        return
    before = box.outcome, box.final_category, box.final_xyxy
    review, region = _decision(judging, box.region_id)
    box.outcome = "pending" if review is None else judge(box.category, box.xyxy, region)
    kept = region if box.outcome in ("accepted", "edited") else None
    box.final_category = kept.category if kept else None
    edges = kept.xyxy if kept else (None, None, None, None)
    box.final_left, box.final_top, box.final_right, box.final_bottom = edges
    box.reviewer = review.reviewer if review else None
    box.review_id = review.review_id if review else None
    box.seconds = review.seconds if review else None
    if box.outcome == "pending":
        box.in_source = False
    elif in_source:
        box.in_source = True
    elif before != (box.outcome, box.final_category, box.final_xyxy):
        # A review that changed after it was merged has to be merged again.
        box.in_source = False


def _decision(
    judging: Sequence[ReviewedImage], region_id: str
) -> tuple[ReviewedImage | None, ReviewedRegion | None]:
    """Return the review that made a box what it is, and what is left of the box."""
    left = _region(judging[-1], region_id) if judging else None
    deciding = None
    for review in reversed(judging):
        if _region(review, region_id) != left:
            break
        deciding = review
    return deciding, left


def _region(review: ReviewedImage, region_id: str) -> ReviewedRegion | None:
    """Return what a review left of a box."""
    return next((region for region in review.regions if region.region_id == region_id), None)
