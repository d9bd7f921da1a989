"""The queue: which images people open next, in which order.

Images are ranked by objects found per second of review, not by box certainty: an image without any
mined box may hold more than one with a certain box. A few images are drawn at random and shown
without mined boxes, as the sample for `estimate`; their positions in the queue are random, too.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sparsedet.annotations import Image
from sparsedet.completeness.budget import Budget
from sparsedet.completeness.costs import ReviewCosts
from sparsedet.ledger import QueueEntry
from sparsedet.seeds import stable_rank

_AUDIT_STREAM = "audit"
_PLACE_STREAM = "audit-place"
_DRAWING_STREAM = "drawing"
AUDIT_SHARE = 0.05
"""How much longer an audit may make a round's review, as a share: on its images every object has
to be drawn, which takes ten times as long as checking a mined box."""
MOST_AUDITED = 0.1
"""Maximum share of images in an audit, however cheap it is."""
_BUDGET_FOR_AUDIT = 0.5
"""Maximum share of a budget that an average audit image takes; with less, nothing is audited."""


class ShownBox(NamedTuple):
    """A mined box that reviewers would see."""

    right: float
    """Its expected precision."""
    on_object: float
    """The chance of an object of any class; not below `right`."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """Expectations for an image that nobody marked as complete."""

    image: Image
    missing: float
    """Expected number of objects without a box."""
    shown: tuple[ShownBox, ...] = ()
    crops_do: bool = False
    """Whether its mined boxes can be judged without the whole image."""
    waits: bool = False
    """Whether it has further mined boxes that wait for their lot's sample and are not shown: a
    person who draws now would draw these objects."""

    @property
    def judged(self) -> float:
        """Expected number of objects that get a box when its mined boxes are judged."""
        return min(sum(box.on_object for box in self.shown), self.missing)

    @property
    def to_draw(self) -> float:
        """Expected number of objects still missing after that."""
        return self.missing - self.judged

    def entry(
        self, costs: ReviewCosts, *, judge_only: bool = False, on_sheets: bool = False
    ) -> QueueEntry:
        """Return its queue entry: the gain of its review, and its duration.

        Args:
            costs: review costs.
            judge_only: its boxes are judged, and nothing is drawn ...
            on_sheets: ... on contact sheets, if that takes less time.
        """
        count = len(self.shown)
        right, on_object = np.array(self.shown, dtype=np.float64).reshape(-1, 2).T
        corrections = float(costs.corrections(right, on_object).sum())
        seconds = costs.seconds(count, corrections, 0.0 if judge_only else self.to_draw)
        crops = costs.seconds_on_sheets(count, corrections)
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
    budget: Budget | None = None,
    seed: int,
    round: int,
) -> frozenset[int]:
    """Return the ids of a random sample of images, regardless of expectations.

    Args:
        outlooks: of every incomplete image.
        count: maximum number of images; fewer if they would cost more than `AUDIT_SHARE`, or be
            more than `MOST_AUDITED` of all.
        costs: review costs.
        review: the round's queue without an audit.
        budget: limits the queue; None: no limit. A small one is for images with mined boxes.
        seed: draws the sample, together with `round` and the image ids.
        round: number of the round.
    """
    if budget is not None and not _affords_audit(budget, outlooks, costs):
        return frozenset()
    ranked = sorted(
        outlooks,
        # Not by file name: annotation tools may add something random at every upload.
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
        # An image's own cost must not affect whether it is drawn. Only the time beyond
        # what the queue would need to find as much counts.
        entry = outlook.blind_entry(costs)
        spent += max(entry.seconds - entry.expected / max(rate, 1e-9), 0.0)
    return frozenset(drawn)


def _affords_audit(budget: Budget, outlooks: Sequence[Outlook], costs: ReviewCosts) -> bool:
    """Return whether enough of a budget is left after an average audit image."""
    seconds = sum(outlook.blind_entry(costs).seconds for outlook in outlooks)
    average = seconds / max(len(outlooks), 1)
    return budget.allows(average / _BUDGET_FOR_AUDIT, 1 / _BUDGET_FOR_AUDIT)


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
    price: float = math.inf,
    seed: int = 1,
) -> list[QueueEntry]:
    """Return the images to open, best first.

    Drawing is the most expensive step, and a later model may find what this one misses. So on
    images with mined boxes, people draw only as far as judging boxes alone is not enough: on a
    random share of them, so that the findings represent all. They don't draw on images that wait
    for a lot, and don't open such images if they show nothing.

    Args:
        outlooks: of every incomplete image.
        costs: review costs.
        audit: ids of the images to show without mined boxes.
        budget: limits the queue; None: no limit.
        wanted: number of missing objects that need a box; infinite: all.
        leave: images without mined boxes are queued until this many missing objects are expected
            to be left.
        sheets: judge boxes on contact sheets where crops suffice and nothing is to be drawn.
        first: ids of the images to open before all others.
        price: maximum seconds per object on an image, except for `first`. If it is finite, nothing
            is drawn, and images without mined boxes are not opened.
        seed: chooses the images on which people draw, and the positions of audit images.
    """
    open_images = [
        outlook
        for outlook in outlooks
        if outlook.image.id not in audit and (outlook.shown or not outlook.waits)
    ]
    share = _drawn_share(open_images, wanted) if price == math.inf else 0.0
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
        if not outlook.shown and (left <= leave or price < math.inf):
            continue
        if entry.seconds > price * entry.expected and entry.image_id not in first:
            continue
        after = opened + entry.pages
        if budget is not None and not budget.allows(spent + entry.seconds, after):
            break
        spent, opened, left = spent + entry.seconds, after, left - entry.expected
        entries.append(entry)
    return _with_audit(entries, audited, costs, seed)


def _drawn_share(outlooks: Sequence[Outlook], wanted: float) -> float:
    """Return the share of images with mined boxes on which people have to draw, 0 to 1."""
    with_boxes = [outlook for outlook in outlooks if outlook.shown]
    to_draw = sum(outlook.to_draw for outlook in with_boxes if not outlook.waits)
    lacking = wanted - sum(outlook.judged for outlook in with_boxes)
    return min(max(lacking / to_draw, 0.0), 1.0) if to_draw else 0.0


def _chance(outlook: Outlook, seed: int) -> float:
    """Return an image's pseudo-random number from 0 to 1, the same in every round."""
    return stable_rank(seed, _DRAWING_STREAM, outlook.image.id) / 2**64


def _rate(entry: QueueEntry) -> float:
    """Return how many missing objects get a box per second of review."""
    return entry.expected / max(entry.seconds, 1e-9)


def _with_audit(
    entries: list[QueueEntry], audited: Sequence[Outlook], costs: ReviewCosts, seed: int
) -> list[QueueEntry]:
    """Return the queue with the audit images at random positions."""
    places = {
        outlook.image.id: stable_rank(seed, _PLACE_STREAM, outlook.image.id) for outlook in audited
    }
    queue = list(entries)
    for outlook in sorted(audited, key=lambda outlook: places[outlook.image.id]):
        queue.insert(places[outlook.image.id] % (len(queue) + 1), outlook.blind_entry(costs))
    return queue
