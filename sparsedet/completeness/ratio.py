"""The ratio of found to expected missing objects: how far to trust a model's own account."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sparsedet.completeness.evidence import Found
from sparsedet.completeness.expected_missing import ExpectedMissing
from sparsedet.completeness.expected_precision import ExpectedPrecision
from sparsedet.mining.candidates import Candidates

_MODEL_SPREAD = 0.3
"""Prior standard deviation of the ratio: the relative error of a model's own account of what is
missing ..."""
_SPREAD_PER_DOUBT = 0.75
"""... or less: this times the doubtful share of what it expects."""
_LEAST_SPREAD = 0.1
_LEFTOVER_SPREAD = 0.5
"""Prior standard deviation for objects left after an image's mined boxes were judged."""
_CHOSEN_WEIGHT = 0.3
"""Weight of an image that was not drawn at random ..."""
_CHOSEN_MOST = 15.0
"""... up to this many objects: what is left after the best images is harder to see."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ratio of found to expected missing objects: a gamma distribution."""

    shape: float
    rate: float

    @property
    def mean(self) -> float:
        """Its mean."""
        return self.shape / self.rate


PRIOR_RATIO = Ratio(_MODEL_SPREAD**-2, _MODEL_SPREAD**-2)
"""Prior of the ratio."""
_PRIOR_LEFTOVER = Ratio(_LEFTOVER_SPREAD**-2, _LEFTOVER_SPREAD**-2)


def updated_ratio(found: Sequence[Found], expected: ExpectedMissing, prior: Ratio) -> Ratio:
    """Return the posterior ratio after images were completed.

    Args:
        found: findings on them.
        expected: the expectation there.
        prior: the prior ratio.
    """
    shape, rate = prior.shape, prior.rate
    chosen = sum(image.objects for image in found if not image.audit)
    chosen_weight = min(_CHOSEN_WEIGHT, _CHOSEN_MOST / max(chosen, 1))
    for image in found:
        weight = 1.0 if image.audit else chosen_weight
        shape += weight * image.objects
        rate += weight * expected.by_image.get(image.image_id, 0.0)
    return Ratio(shape, rate)


def doubtful_share(
    left: ExpectedMissing, candidates: Candidates, fitted: ExpectedPrecision
) -> float:
    """Return which share of the expected objects is in doubt, 0 to 1.

    These are objects that the model can't see, and candidates that show one perhaps: their variance
    as a share of their number.

    Args:
        left: what is expected.
        candidates: those it was expected from.
        fitted: calibrated on them.
    """
    on_images = np.isin(candidates.image_ids, list(left.seen))
    chances = fitted.of_object(candidates)[on_images]
    unseen = sum(left.unseen.values())
    total = float(chances.sum()) + unseen
    return (float((chances * (1 - chances)).sum()) + unseen) / total if total else 1.0


def with_doubt(ratio: Ratio, doubt: float) -> Ratio:
    """Return a ratio as certain as the model is of what it expects.

    Where nearly every candidate surely shows an object, or surely none, there is little to err
    about: after one round on digits the error was 8 % of the missing objects at a doubt of 0.2, on
    cards and blood cells 18 % at 0.3 to 0.6 (`benchmarks/intervals.py`).

    Args:
        ratio: with the prior of a model whose doubt is unknown.
        doubt: see `doubtful_share`.
    """
    spread = min(max(_SPREAD_PER_DOUBT * doubt, _LEAST_SPREAD), _MODEL_SPREAD)
    more = spread**-2 - _MODEL_SPREAD**-2
    return Ratio(ratio.shape + more, ratio.rate + more)


def leftover_ratio(found: Sequence[Found], not_shown: ExpectedMissing) -> Ratio:
    """Return the ratio for objects left after judging mined boxes, given completed images.

    Most missing objects are found by their box. The uncertainty of the rest is separate.

    Args:
        found: findings on completed images.
        not_shown: the expectation there, without the objects of shown boxes.
    """
    with_boxes = [replace(image, objects=image.not_shown) for image in found if not image.audit]
    return updated_ratio(with_boxes, not_shown, _PRIOR_LEFTOVER)
