"""From reviews to a verdict: the combined result of all reviews of an image."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from sparsedet.reviews.model import AnnotationRule, Origin, Review, ReviewedRegion, same_box

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision on one box."""

    fate: Literal["kept", "deleted", "undecided"]
    region: ReviewedRegion
    """The box as it should be; for deleted or undecided ones, as shown."""
    origin: Origin
    review: Review
    """The deciding review."""
    bases: tuple[ReviewedRegion, ...] = ()
    """Every state in which that reviewer, and earlier ones, were shown the box."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The combined result of an image's reviews. Boxes that it doesn't name stay as they are."""

    decisions: Mapping[str, Decision]
    """By region id."""
    seen: Mapping[str, tuple[ReviewedRegion, ...]]
    """Region id -> every state in which a reviewer was shown the box."""
    drawn: frozenset[str]
    """Ids of boxes drawn by a reviewer; later reviewers may have been shown them."""
    mined: frozenset[str]
    """Ids of mined boxes; all other shown boxes are people's."""
    complete: bool
    """Whether the last reviewer of the whole image marked it as complete."""
    complete_classes: frozenset[str] = frozenset()
    """Categories marked as complete, with no object found by a later reviewer."""


def decide(
    reviews: Iterable[Review],
    mined: Mapping[str, ReviewedRegion],
    rule: AnnotationRule = "ground-truth-first",
) -> Verdict:
    """Return the combined result of one image's reviews; later ones overrule earlier ones.

    - Leaving a box as shown doesn't contradict an earlier change of it; a mined box left so is
      accepted, unless an earlier reviewer edited it.
    - An unsure mined box is undecided, regardless of earlier reviews; an unsure box of a person
      stays.
    - Reviews made in parallel (of one `offer`) are combined by `rule`.
    - A sampled review doesn't affect boxes that a person decided, or the image's mark.
    - A mark of a complete class holds until a later reviewer adds a box of the class: an image that
      lacks other classes is reviewed again, without repeating known marks.

    Args:
        reviews: of one image, from any place; skipped ones are ignored.
        mined: region id -> mined box as it was pushed.
        rule: for reviews of one offer.
    """
    decisions: dict[str, Decision] = {}
    seen: dict[str, tuple[ReviewedRegion, ...]] = {}
    drawn: set[str] = set()
    classes: frozenset[str] = frozenset()
    last: Review | None = None
    for review in effective(reviews, rule):
        last = last if review.partial or review.sampled else review
        if not review.sampled:
            classes = classes - _added_classes(review, mined, decisions) | review.complete_classes
        for id, region in review.shown.items():
            seen[id] = (*seen.get(id, ()), region)
        left = {region.region_id: region for region in review.regions}
        for id, region in review.shown.items():
            # The first reviewer to delete it gets the credit.
            if id not in left and not (id in decisions and decisions[id].fate == "deleted"):
                decisions[id] = Decision("deleted", region, "human", review, seen[id])
        drawn |= left.keys() - seen.keys() - mined.keys()
        for id, region in left.items():
            decision = _left(region, review, mined.get(id), decisions.get(id))
            if decision is not None:
                decisions[id] = replace(decision, bases=seen.get(id, ()))
    complete = last is not None and last.complete
    return Verdict(decisions, seen, frozenset(drawn), frozenset(mined), complete, classes)


def effective(reviews: Iterable[Review], rule: AnnotationRule) -> list[Review]:
    """Return the reviews of an image that count, one for each offer, oldest first."""
    offers: dict[str, list[Review]] = {}
    for review in sorted((r for r in reviews if not r.skipped), key=_age):
        offers.setdefault(review.offer or review.review_id, []).append(review)
    return sorted((_combined(side, rule) for side in offers.values()), key=_age)


def choose(alternatives: Sequence[tuple[Any, bool, bool]], rule: AnnotationRule) -> list[Any]:
    """Return which of an image's annotations count by a rule: one, or all of them combined.

    Args:
        alternatives: (annotation, is starred, has boxes), oldest first.
        rule: see `AnnotationRule`.
    """
    starred = [entry for entry, star, _ in alternatives if star]
    if rule == "newest" or len(alternatives) < 2:
        return [entry for entry, _, _ in alternatives[-1:]]
    if starred:
        return starred[-1:]
    if rule == "ground-truth-first":
        filled = [entry for entry, _, has_boxes in alternatives if has_boxes]
        return filled[-1:] or [alternatives[-1][0]]
    return [entry for entry, _, _ in alternatives]


def combine(
    box_lists: Sequence[Sequence[ReviewedRegion]],
    rule: AnnotationRule,
    shown: Mapping[str, ReviewedRegion] | None = None,
) -> tuple[ReviewedRegion, ...]:
    """Return the union of several people's boxes, or with `majority` those drawn by more than half.

    Two people's boxes are one object if both were shown it under one id, or if they share the
    category and have an IoU of `SAME_OBJECT_IOU`. The most common state wins; in a tie, a changed
    one, then the state left by the last person.

    Args:
        box_lists: each person's boxes, oldest first.
        rule: `union` or `majority`.
        shown: region id -> what all of them were shown. Other ids may coincide by accident:
            scripts number regions 1, 2, 3.
    """
    known = shown or {}
    objects: list[_Object] = []
    for person, boxes in enumerate(box_lists):
        earlier = list(objects)
        left = list(boxes)
        # Ids first: an earlier box must not match another's object by position.
        for find in (_same_id, _same_place):
            for box in list(left):
                if find is _same_id and box.region_id not in known:
                    continue
                found = find(box, [one for one in earlier if person not in one])
                if found is not None:
                    found[person] = box
                    left.remove(box)
        objects += [{person: box} for box in left]
    least = len(box_lists) // 2 + 1 if rule == "majority" else 1
    return tuple(_agreed(one, known) for one in objects if len(one) >= least)


def _agreed(one: "_Object", shown: Mapping[str, ReviewedRegion]) -> ReviewedRegion:
    """Return the most common state of an object."""

    def weight(person: int) -> tuple[int, bool, int]:
        box = one[person]
        alike = sum(same_box(box, other) and box.unsure == other.unsure for other in one.values())
        before = shown.get(box.region_id)
        return alike, before is not None and not same_box(before, box), person

    return one[max(one, key=weight)]


def _left(
    region: ReviewedRegion,
    review: Review,
    mined: ReviewedRegion | None,
    earlier: Decision | None,
) -> Decision | None:
    """Return the decision on a box in a review; None if it adds nothing."""
    shown = review.shown.get(region.region_id)
    if review.sampled and earlier is not None:
        return None
    if region.unsure:
        return Decision("undecided", mined, "human", review) if mined is not None else None
    if mined is None:
        as_shown = shown is not None and same_box(shown, region)
        return None if as_shown else Decision("kept", region, "human", review)
    as_shown = same_box(shown or mined, region)
    if as_shown and earlier is not None and earlier.fate == "kept":
        return None
    origin: Origin = "accepted" if same_box(mined, region) else "edited"
    if review.sampled:
        origin = "sampled"
    return Decision("kept", region, origin, review)


def _added_classes(
    review: Review, mined: Mapping[str, ReviewedRegion], earlier: Mapping[str, Decision]
) -> set[str]:
    """Return the categories of which a review holds a box that nobody had left there before.

    Args:
        review: the review.
        mined: region id -> mined box as it was pushed.
        earlier: what older reviews decided.
    """
    before = {id: box.category for id, box in review.shown.items() if id not in mined}
    before |= {id: one.region.category for id, one in earlier.items() if one.fate == "kept"}
    return {
        box.category
        for box in review.regions
        if not box.unsure and before.get(box.region_id) != box.category
    }


def _combined(side: Sequence[Review], rule: AnnotationRule) -> Review:
    """Return the one review that counts among parallel ones, oldest first."""
    chosen = choose([(r, r.ground_truth, bool(r.regions)) for r in side], rule)
    last: Review = chosen[-1]
    if len(chosen) == 1:
        return last
    shown: dict[str, ReviewedRegion] = {}
    for review in chosen:
        shown |= review.shown
    return replace(
        last,
        shown=shown,
        regions=combine([review.regions for review in chosen], rule, shown),
        complete=all(review.complete for review in chosen),
        complete_classes=_complete_in_all(chosen),
    )


def _complete_in_all(side: Sequence[Review]) -> frozenset[str]:
    """Return the classes that all reviews mark; who marks the image marks all of its classes."""
    by_class = [review.complete_classes for review in side if not review.complete]
    return frozenset.intersection(*(by_class or [review.complete_classes for review in side]))


def _age(review: Review) -> tuple[datetime, str]:
    saved = datetime.fromisoformat(review.saved_at) if review.saved_at else _LONG_AGO
    return saved, review.review_id


_Object = dict[int, ReviewedRegion]
"""What each person drew for one object."""


def _same_id(box: ReviewedRegion, objects: Sequence[_Object]) -> _Object | None:
    for known in objects:
        if known[max(known)].region_id == box.region_id:
            return known
    return None


def _same_place(box: ReviewedRegion, objects: Sequence[_Object]) -> _Object | None:
    # numpy costs a tenth of a second, which `--help` can do without.
    from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix

    alike = [known for known in objects if known[max(known)].category == box.category]
    if not alike:
        return None
    overlap = iou_matrix([box.xyxy], [known[max(known)].xyxy for known in alike])[0]
    best = int(overlap.argmax())
    return alike[best] if overlap[best] >= SAME_OBJECT_IOU else None
