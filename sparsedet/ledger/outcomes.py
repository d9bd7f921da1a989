"""Outcomes of mined boxes, settled from the reviews."""

from collections.abc import Collection

from sparsedet.ledger.schema import LedgerBox, Place
from sparsedet.reviews import AnnotationRule, Decision, Review, Written, decide, same_box
from sparsedet.tool import Outcome


def settle(
    boxes: Collection[LedgerBox],
    reviews: Collection[tuple[Place, Review]],
    rule: AnnotationRule,
    *,
    written: Written,
    withdrawn: Collection[str],
) -> None:
    """Set the outcomes of an image's mined boxes from all of its reviews.

    A box not covered by the reviews stays as it is, unless the review that settled it was
    withdrawn.

    Args:
        boxes: all of the image; modified in place.
        reviews: of the image, with the place of each.
        rule: how to combine parallel reviews.
        written: the state after the last merge.
        withdrawn: ids of withdrawn reviews.
    """
    mined = {box.region_id: box.mined for box in boxes}
    verdict = decide((review for _, review in reviews), mined, rule)
    # A combined review has no counterpart among those read, so compare them by id.
    drafted = {_key(review) for place, review in reviews if place.mode == "draft"}
    for box in boxes:
        decision = verdict.decisions.get(box.region_id)
        if decision is not None:
            _apply(box, decision, written, in_source=_key(decision.review) in drafted)
        elif box.review_id in withdrawn:
            _set(box, "withdrawn" if box.outcome == "withdrawn" else "pending", None)


def is_written(box: LedgerBox, written: Written) -> bool:
    """Return whether a merge left a judged box as its reviewers want it."""
    if box.region_id not in written.boxes:
        return False
    left, final = written.boxes[box.region_id], box.final
    return left is final is None or (
        left is not None and final is not None and same_box(left, final)
    )


def unsettle(box: LedgerBox) -> None:
    """Reset a box to unjudged."""
    _set(box, "pending", None)


def _apply(box: LedgerBox, decision: Decision, written: Written, *, in_source: bool) -> None:
    before = box.outcome, box.final
    if decision.fate == "kept":
        origin = decision.origin
        _set(box, origin if origin in ("edited", "sampled") else "accepted", decision)
    elif decision.fate == "deleted":
        _set(box, "rejected", decision)
    else:
        # Undecided boxes are shown again, but not if they were withdrawn before. Those of a lot
        # that was undone have not been seen by any reviewer.
        seen = None if decision.review.sampled else decision
        _set(box, "withdrawn" if box.outcome == "withdrawn" else "pending", seen)
    if in_source and box.is_judged:
        box.in_source = True
    elif before != (box.outcome, box.final):
        # A review that changed after its merge has to be merged again.
        box.in_source = box.is_decided and is_written(box, written)


def _set(box: LedgerBox, outcome: Outcome, decision: Decision | None) -> None:
    box.outcome = outcome
    kept = decision.region if decision is not None and decision.fate == "kept" else None
    box.final_category = kept.category if kept else None
    edges = kept.xyxy if kept else (None, None, None, None)
    box.final_left, box.final_top, box.final_right, box.final_bottom = edges
    review = decision.review if decision is not None else None
    box.reviewer = review.reviewer if review else None
    box.review_id = review.review_id if review else None
    box.seconds = review.seconds if review else None
    if not box.is_decided:
        box.in_source = False


def _key(review: Review) -> tuple[str, str]:
    return review.offer, review.review_id
