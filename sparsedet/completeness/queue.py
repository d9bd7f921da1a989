"""The queue: which images people open next, and in which order.

What is found per second of review decides, not how sure a box is: an image without any mined box
may hold more than one with a sure box. A few images of the queue are drawn at random and shown
without mined boxes, as the sample that `estimate` rests on; their places in it are random, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sparsedet.annotations import Image
from sparsedet.completeness.budget import Budget
from sparsedet.completeness.costs import ReviewCosts
from sparsedet.ledger import QueueEntry
from sparsedet.seeds import stable_rank

_AUDIT_STREAM = "audit"
_PLACE_STREAM = "audit-place"
AUDIT_SHARE = 0.05
"""An audit may make a round's review take so much longer, as a share: on its images every object
has to be drawn, which takes ten times as long as looking at a mined box."""
MOST_AUDITED = 0.1
"""Share of the images that an audit may take, however little it costs."""


class ShownBox(NamedTuple):
    """A mined box that reviewers would see."""

    right: float
    """Its expected precision."""
    on_object: float
    """The chance that it shows an object of any class, at least as much."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is expected of an image that nobody marked as complete."""

    image: Image
    missing: float
    """Expected number of objects without a box."""
    shown: tuple[ShownBox, ...] = ()

    def seconds(self, costs: ReviewCosts) -> float:
        """Return the expected time of its review, in which every object gets a box."""
        count = len(self.shown)
        wrong = count - sum(box.right for box in self.shown)
        drawn = max(self.missing - sum(box.on_object for box in self.shown), 0.0)
        return costs.seconds(count, wrong, drawn)

    def blind_seconds(self, costs: ReviewCosts) -> float:
        """Return the expected time of its review without mined boxes."""
        return costs.seconds(0, 0, self.missing)

    def rate(self, costs: ReviewCosts) -> float:
        """Return how many missing objects get a box per second of review."""
        return self.missing / max(self.seconds(costs), 1e-9)


def draw_audit(
    outlooks: Sequence[Outlook],
    count: int,
    costs: ReviewCosts,
    *,
    review: Sequence[QueueEntry],
    seed: int,
    round: int,
) -> frozenset[int]:
    """Return the ids of a random sample of images, whatever is expected of each.

    Args:
        outlooks: of every image that is not complete.
        count: the most images to draw; fewer where they would cost more than `AUDIT_SHARE`, or
            be more than `MOST_AUDITED` of all.
        costs: of a review.
        review: the round's queue without an audit.
        seed: with `round` and the images' ids it decides.
        round: number of the round.
    """
    ranked = sorted(
        outlooks,
        # Not by file names, to which an annotation tool may add something random at every upload.
        key=lambda outlook: stable_rank(seed, _AUDIT_STREAM, outlook.image.id, round),
    )
    seconds = sum(entry.seconds for entry in review)
    rate = sum(entry.expected for entry in review) / max(seconds, 1e-9)
    drawn: set[int] = set()
    spent = 0.0
    for outlook in ranked[: min(count, int(MOST_AUDITED * len(ranked)))]:
        if spent >= AUDIT_SHARE * seconds:
            break
        drawn.add(outlook.image.id)
        # What this image costs must not decide whether it is drawn itself. In the same time the
        # queue would have brought more.
        spent += max(outlook.blind_seconds(costs) - outlook.missing / max(rate, 1e-9), 0.0)
    return frozenset(drawn)


def plan_queue(
    outlooks: Sequence[Outlook],
    costs: ReviewCosts,
    *,
    audit: frozenset[int] = frozenset(),
    budget: Budget | None = None,
    leave: float = 0.0,
    seed: int = 1,
) -> list[QueueEntry]:
    """Return the images to open, best first.

    Args:
        outlooks: of every image that is not complete.
        costs: of a review.
        audit: ids of the images to show without mined boxes.
        budget: ends the queue; None: no limit.
        leave: the queue ends where so many missing objects are expected on the images after it.
        seed: of the places of audit images.
    """
    ordered = sorted(
        (outlook for outlook in outlooks if outlook.image.id not in audit),
        key=lambda outlook: (-outlook.rate(costs), outlook.image.id),
    )
    left = sum(outlook.missing for outlook in ordered)
    entries: list[QueueEntry] = []
    spent = sum(o.blind_seconds(costs) for o in outlooks if o.image.id in audit)
    opened = len(audit)
    for outlook in ordered:
        seconds = outlook.seconds(costs)
        if left <= leave and not outlook.shown:
            continue
        if budget is not None and not budget.allows(spent + seconds, opened + 1):
            break
        spent, opened, left = spent + seconds, opened + 1, left - outlook.missing
        entries.append(
            QueueEntry(
                outlook.image.id,
                expected=outlook.missing,
                boxes=len(outlook.shown),
                seconds=seconds,
            )
        )
    return _with_audit(entries, [o for o in outlooks if o.image.id in audit], costs, seed)


def _with_audit(
    entries: list[QueueEntry], audited: Sequence[Outlook], costs: ReviewCosts, seed: int
) -> list[QueueEntry]:
    """Return the queue with the audit images at random places."""
    places = {
        outlook.image.id: stable_rank(seed, _PLACE_STREAM, outlook.image.id) for outlook in audited
    }
    queue = list(entries)
    for outlook in sorted(audited, key=lambda outlook: places[outlook.image.id]):
        entry = QueueEntry(
            outlook.image.id,
            audit=True,
            expected=outlook.missing,
            seconds=outlook.blind_seconds(costs),
        )
        queue.insert(places[outlook.image.id] % (len(queue) + 1), entry)
    return queue
