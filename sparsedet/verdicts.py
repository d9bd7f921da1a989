"""What all reviews of an image say together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparsedet.tool import ReviewedImage, ReviewedRegion


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the boxes of an image should be; what it does not name stays as it is."""

    kept: Mapping[str, ReviewedRegion]
    """Region id -> the box as the last reviewer who saw it left it."""
    gone: frozenset[str]
    """Ids of boxes that were deleted."""
    drawn: frozenset[str]
    """The part of `kept` that no reviewer was shown before somebody drew it."""
    complete: bool
    """The last reviewer vouched that every object has a box."""


def fold(reviews: Sequence[ReviewedImage]) -> Verdict:
    """Return the verdict of an image's reviews, oldest first: later ones overrule earlier ones.

    Boxes that were left unsure are in none of its parts.
    """
    kept: dict[str, ReviewedRegion] = {}
    gone: set[str] = set()
    drawn: set[str] = set()
    shown: set[str] = set()
    for review in reviews:
        regions = {region.region_id: region for region in review.regions}
        for region_id in review.shown - regions.keys():
            kept.pop(region_id, None)
            gone.add(region_id)
        drawn |= regions.keys() - review.shown - shown
        shown |= review.shown | regions.keys()
        for region_id, region in regions.items():
            gone.discard(region_id)
            kept.pop(region_id, None)
            if not region.unsure:
                kept[region_id] = region
    return Verdict(
        kept=kept,
        gone=frozenset(gone),
        drawn=frozenset(drawn & kept.keys()),
        complete=bool(reviews) and reviews[-1].complete,
    )
