"""Review costs in seconds, and their estimation from review times.

By default drawing a box takes 7 s, as with extreme clicking (Papadopoulos et al., "Extreme
clicking for efficient object annotation", ICCV 2017); checking or deleting one takes much less.
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
"""The costs that review times are informative about."""
_BREAK = 5.0
"""A review that took more than this many times the expected time, plus `_PAUSE`, had a break."""
_PAUSE = 60.0
_PRIOR_SPREAD = 0.5
"""Standard deviation of each cost around the configured one, as a fraction of it ..."""
_TIME_SPREAD = 0.6
"""... and of a review's time around its expected time."""
_SEEN = 20
"""Prior number of deleted boxes of any expected precision, and of boxes decided on a crop."""
_ALIKE = 0.05
"""Standard deviation of the Gaussian kernel that smooths shares over expected precisions."""
_GRID = np.linspace(0, 1, 41)


@dataclass(frozen=True, slots=True)
class DeletedShare:
    """Share of the boxes on no missing object that are deleted, by expected precision.

    The others are left undecided. The surer the model, the more often it is something that people
    can't decide either: an overall share would say little about boxes of other precision.
    """

    at_grid: tuple[float, ...] = (1.0, 1.0)
    """Shares at evenly spaced expected precisions from 0 to 1; linear in between."""

    @classmethod
    def of(cls, deleted: Sequence[float], undecided: Sequence[float]) -> "DeletedShare":
        """Return the shares in reviews; 1, as without undecided boxes, where there are few.

        Args:
            deleted: expected precision of each deleted box, 0 to 1.
            undecided: the same of boxes left undecided.
        """
        rejected, left = _near(deleted) + _SEEN, _near(undecided)
        return cls(tuple((rejected / (rejected + left)).tolist()))

    def at(self, chances: Floats) -> Floats:
        """Return the share at each expected precision, shape (N,)."""
        return np.interp(chances, np.linspace(0, 1, len(self.at_grid)), self.at_grid)


def _near(chances: Sequence[float]) -> Floats:
    """Return the number of boxes around each grid point, shape (len(_GRID),)."""
    boxes = np.asarray(chances, dtype=np.float64)
    # A point at a time: a table of all points and boxes would be 41 times as large as the boxes.
    return np.array([np.exp(-0.5 * ((point - boxes) / _ALIKE) ** 2).sum() for point in _GRID])


@dataclass(frozen=True, slots=True)
class ReviewCosts:
    """Review times in seconds."""

    image: float = 2.0
    """Open an image and look around."""
    box: float = 0.7
    """Check a mined box."""
    correction: float = 2.5
    """Delete or correct a box."""
    drawing: float = 7.0
    """Draw a box."""
    undecided: float = 0.05
    """Share of boxes that reviewers can't decide on a crop."""
    deleted: DeletedShare = DeletedShare()
    """Boxes left undecided take no longer than accepted ones."""

    def seconds(self, boxes: float, corrections: float, drawn: float) -> float:
        """Return the time for one image with these numbers of mined, corrected and drawn boxes."""
        return self.image + self.box * boxes + self.correction * corrections + self.drawing * drawn

    def seconds_on_sheets(self, boxes: float, corrections: float) -> float:
        """Return the time for this many mined boxes on contact sheets.

        A sheet is opened once; boxes left undecided are checked again on their image.
        """
        again = self.undecided * (self.image + self.box)
        return (self.image / CROPS + self.box + again) * boxes + self.correction * corrections

    def corrections(self, chances: Floats, object_chances: Floats) -> Floats:
        """Return the chance that each box is corrected or deleted, shape (N,).

        Objects of another class are always corrected.

        Args:
            chances: expected precision, shape (N,).
            object_chances: the chance of an object of any class, shape (N,).
        """
        deleted = self.deleted.at(chances) * (1 - object_chances)
        return np.asarray(object_chances - chances + deleted)

    def saved(self, chances: Floats, object_chances: Floats) -> Floats:
        """Return the expected time saved by showing each box, shape (N,).

        A box on an object saves drawing it, even if class or position need a correction; a wrong
        box costs a correction; and every box costs a look.

        Args:
            chances: expected precision, shape (N,).
            object_chances: the chance of an object of any class, shape (N,).
        """
        corrections = self.correction * self.corrections(chances, object_chances)
        return np.asarray(self.drawing * object_chances - self.box - corrections)


def estimated_costs(work: Sequence[ReviewWork], configured: ReviewCosts) -> ReviewCosts:
    """Estimate review costs from review times, shrunk towards the configured costs.

    Non-negative least squares on the times, each weighted by its expected time, with one extra
    observation per configured cost: a few reviews change little.

    Args:
        work: submitted reviews; ignored are those without a time, with a break, and on contact
            sheets.
        configured: prior costs.
    """
    prior = np.array([getattr(configured, name) for name in _TIMES])
    rows: list[tuple[float, ...]] = []
    times: list[float] = []
    for review in work:
        row = (1.0, float(review.shown), float(review.corrected), float(review.drawn))
        expected = float(np.dot(row, prior))
        # A contact sheet opens no image, and an image's share of its time is a guess.
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
    image, box, correction, drawing = map(float, found)
    return replace(configured, image=image, box=box, correction=correction, drawing=drawing)


def with_undecided(
    costs: ReviewCosts, *, deleted: Sequence[float], undecided: Sequence[float], reviewed: int
) -> ReviewCosts:
    """Return the costs, adjusted by the undecided boxes so far.

    Args:
        costs: review costs.
        deleted: expected precision of each box deleted so far, 0 to 1.
        undecided: the same of boxes left undecided so far.
        reviewed: number of all boxes reviewed so far.
    """
    before = _SEEN * costs.undecided
    return replace(
        costs,
        deleted=DeletedShare.of(deleted, undecided),
        undecided=(before + len(undecided)) / (_SEEN + reviewed),
    )
