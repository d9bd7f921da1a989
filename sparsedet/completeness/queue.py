"""The queue: which images people open next, and in which order.

What is found per second of review decides, not how sure a box is: an image without any mined box
may hold more than one with a sure box. A few images of the queue are drawn at random and shown
without mined boxes, as the sample that `estimate` rests on; their places in it are random, too.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sparsedet.annotations import Image
from sparsedet.completeness.budget import Budget
from sparsedet.completeness.costs import ReviewCosts
from sparsedet.ledger import QueueEntry
from sparsedet.seeds import stable_rank

_AUDIT_STREAM = "audit"
_PLACE_STREAM = "audit-place"
_DRAWING_STREAM = "drawing"
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
    crops_do: bool = False
    """Its mined boxes can be judged without the whole image."""
    waits: bool = False
    """Further mined boxes of it wait for the sample of their lot, and are not shown: whoever drew
    now would draw them."""

    @property
    def judged(self) -> float:
        """Expected number of objects that get a box when its mined boxes are judged."""
        return min(sum(box.on_object for box in self.shown), self.missing)

    @property
    def to_draw(self) -> float:
        """Expected number of objects that are still missing then."""
        return self.missing - self.judged

    def entry(
        self, costs: ReviewCosts, *, judge_only: bool = False, on_sheets: bool = False
    ) -> QueueEntry:
        """Return its place in a queue: what its review brings, and how long it takes.

        Args:
            costs: of a review.
            judge_only: its boxes are judged, and nothing is drawn ...
            on_sheets: ... on contact sheets, where that takes less time.
        """
        count = len(self.shown)
        wrong = count - sum(box.right for box in self.shown)
        seconds = costs.seconds(count, wrong, 0.0 if judge_only else self.to_draw)
        crops = costs.seconds_on_sheets(count, wrong)
        on_sheets = judge_only and on_sheets and crops < seconds
        return QueueEntry(
            self.image.id,
            judge_only=judge_only,
            on_sheets=on_sheets,
            expected=self.judged if judge_only else self.missing,
            missing=self.missing,
            boxes=count,
            seconds=crops if on_sheets else seconds,
        )

    def blind_entry(self, costs: ReviewCosts) -> QueueEntry:
        """Return the same for a review without mined boxes."""
        return QueueEntry(
            self.image.id,
            audit=True,
            expected=self.missing,
            missing=self.missing,
            seconds=costs.seconds(0, 0, self.missing),
        )


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
        entry = outlook.blind_entry(costs)
        spent += max(entry.seconds - entry.expected / max(rate, 1e-9), 0.0)
    return frozenset(drawn)


def plan_queue(
    outlooks: Sequence[Outlook],
    costs: ReviewCosts,
    *,
    audit: frozenset[int] = frozenset(),
    budget: Budget | None = None,
    wanted: float = math.inf,
    leave: float = 0.0,
    sheets: bool = False,
    first: Collection[int] = (),
    seed: int = 1,
) -> list[QueueEntry]:
    """Return the images to open, best first.

    Drawing costs most, and a later model may find what this one misses. So on images with mined
    boxes people draw only as far as judging boxes alone won't bring enough: on a random share of
    them, so that what is found there speaks for all. They don't draw on images that wait for a
    lot, and don't open those of them that show nothing.

    Args:
        outlooks: of every image that is not complete.
        costs: of a review.
        audit: ids of the images to show without mined boxes.
        budget: ends the queue; None: no limit.
        wanted: number of missing objects that have to get a box; infinite: all.
        leave: images without mined boxes are queued until so many missing objects are expected to
            be left.
        sheets: boxes are judged on contact sheets where crops do, and nothing is to be drawn.
        first: ids of the images to open before all others.
        seed: of the images on which people draw, and of the places of audit images.
    """
    open_images = [
        outlook
        for outlook in outlooks
        if outlook.image.id not in audit and (outlook.shown or not outlook.waits)
    ]
    share = _drawn_share(open_images, wanted)
    queue = [
        (
            outlook,
            outlook.entry(
                costs,
                judge_only=bool(outlook.shown) and not draws,
                on_sheets=sheets and outlook.crops_do,
            ),
        )
        for outlook in open_images
        for draws in (_chance(outlook, seed) < share and not outlook.waits,)
    ]
    queue.sort(key=lambda one: (one[1].image_id not in first, -_rate(one[1]), one[1].image_id))
    audited = [outlook for outlook in outlooks if outlook.image.id in audit]
    left = sum(outlook.missing for outlook in open_images)
    entries: list[QueueEntry] = []
    spent = sum(outlook.blind_entry(costs).seconds for outlook in audited)
    opened = float(len(audit))
    for outlook, entry in queue:
        if left <= leave and not outlook.shown:
            continue
        after = opened + entry.pages
        if budget is not None and not budget.allows(spent + entry.seconds, after):
            break
        spent, opened, left = spent + entry.seconds, after, left - entry.expected
        entries.append(entry)
    return _with_audit(entries, audited, costs, seed)


def _drawn_share(outlooks: Sequence[Outlook], wanted: float) -> float:
    """Return the share of the images with mined boxes on which people have to draw, 0 to 1."""
    with_boxes = [outlook for outlook in outlooks if outlook.shown]
    to_draw = sum(outlook.to_draw for outlook in with_boxes if not outlook.waits)
    lacking = wanted - sum(outlook.judged for outlook in with_boxes)
    return min(max(lacking / to_draw, 0.0), 1.0) if to_draw else 0.0


def _chance(outlook: Outlook, seed: int) -> float:
    """Return a number of an image from 0 to 1, the same in every round."""
    return stable_rank(seed, _DRAWING_STREAM, outlook.image.id) / 2**64


def _rate(entry: QueueEntry) -> float:
    """Return how many missing objects get a box per second of review."""
    return entry.expected / max(entry.seconds, 1e-9)


def _with_audit(
    entries: list[QueueEntry], audited: Sequence[Outlook], costs: ReviewCosts, seed: int
) -> list[QueueEntry]:
    """Return the queue with the audit images at random places."""
    places = {
        outlook.image.id: stable_rank(seed, _PLACE_STREAM, outlook.image.id) for outlook in audited
    }
    queue = list(entries)
    for outlook in sorted(audited, key=lambda outlook: places[outlook.image.id]):
        queue.insert(places[outlook.image.id] % (len(queue) + 1), outlook.blind_entry(costs))
    return queue
