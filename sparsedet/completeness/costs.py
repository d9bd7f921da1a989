"""What a review costs in seconds, and what reviewers' own times say of it.

By default drawing a box takes 7 s, as by extreme clicking (Papadopoulos et al., "Extreme clicking
for efficient object annotation", ICCV 2017); looking at one, or deleting it, takes much less.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from sparsedet.ledger import ReviewWork
from sparsedet.sheets.arrangement import CROPS

Floats = NDArray[np.float64]

_TIMES = ("image", "box", "correction", "drawing")
"""What the times of reviews say something of."""
_BREAK = 5.0
"""A review that took this many times as long as expected, and `_PAUSE` more, had a break in it."""
_PAUSE = 60.0
_PRIOR_SPREAD = 0.5
"""Standard deviation of each cost around the configured one, as a share of it ..."""
_TIME_SPREAD = 0.6
"""... and of a review's time around what its work should take."""
_SEEN_CORRECTED = 20
"""Without reviews every box that is not accepted takes a correction: as if so many had done so."""


@dataclass(frozen=True, slots=True)
class ReviewCosts:
    """Seconds of a reviewer."""

    image: float = 2.0
    """To open an image and look around."""
    box: float = 0.7
    """To look at a mined box."""
    correction: float = 2.5
    """To delete or correct a box."""
    drawing: float = 7.0
    """To draw a box."""
    undecided: float = 0.05
    """Share of the boxes that reviewers can't decide, which a crop shows in vain."""

    def seconds(self, boxes: float, corrections: float, drawn: float) -> float:
        """Return the time of one image with so many mined boxes, corrections and drawn boxes."""
        return self.image + self.box * boxes + self.correction * corrections + self.drawing * drawn

    def seconds_on_sheets(self, boxes: float, corrections: float) -> float:
        """Return the time of so many mined boxes on contact sheets.

        A sheet is opened once, and what it leaves undecided is looked at again, on its image.
        """
        again = self.undecided * (self.image + self.box)
        return (self.image / CROPS + self.box + again) * boxes + self.correction * corrections

    def saved(self, chances: Floats, object_chances: Floats) -> Floats:
        """Return the time that showing each of some boxes is expected to save, shape (N,).

        A box on an object spares its drawing, even if its class or place has to be corrected; one
        that is not right costs a correction, and each is looked at.

        Args:
            chances: expected precision of each, shape (N,).
            object_chances: the chance that each shows an object of any class, shape (N,).
        """
        return np.asarray(
            self.drawing * object_chances - self.box - self.correction * (1 - chances)
        )


def estimated_costs(work: Sequence[ReviewWork], configured: ReviewCosts) -> ReviewCosts:
    """Return what reviews cost by their times, drawn towards the configured costs.

    Non-negative least squares on the reviews' times, each weighted by what it should take, with one
    more observation for each configured cost: few reviews change little.

    Args:
        work: submitted reviews; those without a time, or with a break in them, are left out, and so
            are those on contact sheets.
        configured: the costs before any review.
    """
    prior = np.array([getattr(configured, name) for name in _TIMES])
    rows: list[tuple[float, ...]] = []
    times: list[float] = []
    for review in work:
        row = (1.0, float(review.shown), float(review.corrected), float(review.drawn))
        expected = float(np.dot(row, prior))
        # On a contact sheet an image is not opened, and its share of the time is a guess.
        if review.partial or not review.seconds or review.seconds > _BREAK * expected + _PAUSE:
            continue
        spread = _TIME_SPREAD * max(expected, 1.0)
        rows.append(tuple(value / spread for value in row))
        times.append(review.seconds / spread)
    if not rows:
        return configured
    spreads = np.maximum(prior, 0.1) * _PRIOR_SPREAD
    design = np.vstack([np.array(rows), np.diag(1 / spreads)])
    wanted = np.concatenate([times, prior / spreads])
    found, _ = nnls(design, wanted)
    return replace(configured, **dict(zip(_TIMES, map(float, found), strict=True)))


def with_undecided(
    costs: ReviewCosts, *, corrected: int, undecided: int, reviewed: int
) -> ReviewCosts:
    """Return the costs with what undecided boxes so far say of others.

    `correction` is then what a box costs that is not accepted: one that reviewers leave undecided
    takes no more time than a right one.

    Args:
        costs: of a review.
        corrected: boxes so far that were deleted or corrected.
        undecided: boxes so far that were left undecided.
        reviewed: all boxes so far.
    """
    share = (corrected + _SEEN_CORRECTED) / (corrected + undecided + _SEEN_CORRECTED)
    before = _SEEN_CORRECTED * costs.undecided
    return replace(
        costs,
        correction=share * costs.correction,
        undecided=(before + undecided) / (_SEEN_CORRECTED + reviewed),
    )
