"""Compare reviewers: their decisions on mined boxes, and their agreement."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sparsedet.ledger.schema import Source
from sparsedet.reviews import Review, ReviewedRegion, effective, same_box
from sparsedet.tool import Outcome


@dataclass(frozen=True, slots=True)
class ReviewerCounts:
    """One person's work."""

    name: str
    images: int = 0
    """Number of images that the person reviewed, without skipped ones."""
    seconds: float = 0.0
    """Time spent on them."""
    accepted: int = 0
    edited: int = 0
    rejected: int = 0
    agreement: float | None = None
    """Agreement: of the boxes that others judged too, the share on which they agree whether it
    shows an object of any class. 0 to 1, the mean over the others; None if nobody else judged
    any."""
    compared: int = 0
    """The number of these boxes."""

    @property
    def judged(self) -> int:
        """Number of mined boxes that the person decided."""
        return self.accepted + self.edited + self.rejected

    def share(self, outcome: Outcome) -> float | None:
        """Return an outcome's share of all decisions of the person, 0 to 1."""
        return getattr(self, outcome) / self.judged if self.judged else None


def compare_reviewers(
    reviews: Iterable[tuple[Source, Review]], mined: Mapping[str, ReviewedRegion]
) -> list[ReviewerCounts]:
    """Return each person's work, by name; reviews without a name are left out.

    A person's last decision on a box counts, whatever others decided later.

    Args:
        reviews: all, with their annotated project.
        mined: region id -> mined box as it was pushed.
    """
    own: dict[str, dict[tuple[Source, str], list[Review]]] = {}
    for source, review in reviews:
        if review.reviewer and not (review.skipped or review.sampled):
            images = own.setdefault(review.reviewer, {})
            images.setdefault((source, review.tool_id), []).append(review)
    words = {name: _words(images.values(), mined) for name, images in own.items()}
    said: dict[str, list[bool]] = {}
    for by_box in words.values():
        for id, outcome in by_box.items():
            said.setdefault(id, []).append(outcome != "rejected")
    return [_counts(name, list(own[name].values()), words[name], said) for name in sorted(own)]


def _words(
    images: Iterable[list[Review]], mined: Mapping[str, ReviewedRegion]
) -> dict[str, Outcome]:
    """Return a person's decision on each mined box; undecided ones are left out."""
    words: dict[str, Outcome] = {}
    for reviews in images:
        for review in effective(reviews, "newest"):
            left = {region.region_id: region for region in review.regions}
            for id in (review.shown.keys() | left.keys()) & mined.keys():
                words.pop(id, None)
                if id not in left:
                    words[id] = "rejected"
                elif not left[id].unsure:
                    # Keeping a box that somebody else edited is not an edit.
                    as_it_was = (mined[id], review.shown.get(id, mined[id]))
                    kept = any(same_box(left[id], box) for box in as_it_was)
                    words[id] = "accepted" if kept else "edited"
    return words


def _counts(
    name: str,
    images: list[list[Review]],
    words: Mapping[str, Outcome],
    said: Mapping[str, list[bool]],
) -> ReviewerCounts:
    outcomes = list(words.values())
    shares = []
    for id, outcome in words.items():
        others = len(said[id]) - 1
        if others:
            alike = said[id].count(outcome != "rejected") - 1
            shares.append(alike / others)
    return ReviewerCounts(
        name,
        images=len(images),
        seconds=sum((review.seconds or 0.0 for own in images for review in own), 0.0),
        accepted=outcomes.count("accepted"),
        edited=outcomes.count("edited"),
        rejected=outcomes.count("rejected"),
        agreement=sum(shares) / len(shares) if shares else None,
        compared=len(shares),
    )
