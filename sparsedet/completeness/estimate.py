"""How complete a set is: objects with and without a box, with an interval.

The number of missing objects is that which the candidates let expect, times a ratio: how many were
found where people completed images, to how many were expected there. It is a ratio estimator with
the model's candidates as the auxiliary variable (Cochran, "Sampling Techniques", 1977, chapter 6),
in its Bayesian form: numbers of missing objects are Poisson, the ratio has a gamma distribution
around 1, and what was found sharpens it. Images of the blind sample count in full. Others count for
less: they were chosen, and who sees a model's boxes overlooks what the model overlooked.

Without a blind sample the estimate rests on the model, and its interval is wider.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import nbinom

from sparsedet.annotations import Dataset
from sparsedet.completeness.evidence import Evidence, Found
from sparsedet.completeness.expected_missing import ExpectedMissing, by_class
from sparsedet.completeness.expected_precision import ExpectedPrecision
from sparsedet.completeness.object_count import Count
from sparsedet.mining.candidates import Candidates

INTERVAL = 0.9
"""Probability that an interval holds the truth."""
_MODEL_SPREAD = 0.3
"""Standard deviation of the ratio before anything was found: how far off a model's own account of
what is missing may be, as a share."""
_LATER_SPREAD = 1.0
"""How far off a later model's own account may be where little is left, as a share ..."""
_MANY = 10.0
"""... where it is more than so many objects it is less."""
_LEAST_VARIANCE = 0.25
_LEFTOVER_SPREAD = 0.5
"""The same of what is left when the mined boxes of an image were judged."""
_CHOSEN_WEIGHT = 0.3
"""What an image that was not drawn at random counts ..."""
_CHOSEN_MOST = 15.0
"""... up to so many objects: what is left after the best images is harder to see than on these."""


@dataclass(frozen=True, slots=True)
class ClassCompleteness:
    """Objects of one class."""

    boxes: int
    missing: float


@dataclass(frozen=True, slots=True)
class Completeness:
    """How many objects have a box, and how many do not."""

    boxes: int
    """Objects with a box."""
    missing: float
    """Expected number of objects without one."""
    missing_low: float
    """Lower end of the `INTERVAL` of their number ..."""
    missing_high: float
    """... and its upper end."""
    basis: Literal["audit", "model"]
    """Whether a blind sample stands behind it."""
    audited: int
    """Images of the blind sample that were completed."""
    complete_images: int
    """Images that people marked as complete."""
    images: int
    by_class: Mapping[str, ClassCompleteness]
    """By category name."""

    @property
    def share(self) -> float:
        """Share of the objects that have a box, 0 to 1."""
        return _share(self.boxes, self.missing)

    @property
    def low(self) -> float:
        """Lower end of the interval of the share."""
        return _share(self.boxes, self.missing_high)

    @property
    def high(self) -> float:
        """Upper end of the interval of the share."""
        return _share(self.boxes, self.missing_low)

    def sentence(self) -> str:
        """Return the estimate in words."""
        objects = round(self.boxes + self.missing)
        text = (
            f"about {self.boxes} of {objects} objects have a box ({self.share:.0%}, "
            f"{INTERVAL:.0%} interval {100 * self.low:.0f} to {100 * self.high:.0f})"
        )
        if self.basis == "model":
            text += "; this rests on the model alone, no image of a blind sample was completed"
        return text


@dataclass(frozen=True, slots=True)
class Ratio:
    """Found to expected missing objects: a gamma distribution."""

    shape: float
    rate: float

    @property
    def mean(self) -> float:
        """Its mean."""
        return self.shape / self.rate


PRIOR_RATIO = Ratio(_MODEL_SPREAD**-2, _MODEL_SPREAD**-2)
"""Before anything was found."""
_PRIOR_LEFTOVER = Ratio(_LEFTOVER_SPREAD**-2, _LEFTOVER_SPREAD**-2)


def updated_ratio(found: Sequence[Found], expected: ExpectedMissing, prior: Ratio) -> Ratio:
    """Return the ratio after images were completed.

    Args:
        found: what was found on them.
        expected: what was expected there.
        prior: the ratio before.
    """
    shape, rate = prior.shape, prior.rate
    chosen = sum(image.objects for image in found if not image.audit)
    chosen_weight = min(_CHOSEN_WEIGHT, _CHOSEN_MOST / max(chosen, 1))
    for image in found:
        weight = 1.0 if image.audit else chosen_weight
        shape += weight * image.objects
        rate += weight * expected.by_image.get(image.image_id, 0.0)
    return Ratio(shape, rate)


def leftover_ratio(found: Sequence[Found], not_shown: ExpectedMissing) -> Ratio:
    """Return the ratio for what judging mined boxes leaves, after images were completed with them.

    Most of what is missing is found by its box. How well the rest is known is a matter of its own.

    Args:
        found: what was found on completed images.
        not_shown: what was expected there besides the objects of shown boxes.
    """
    with_boxes = [replace(image, objects=image.not_shown) for image in found if not image.audit]
    return updated_ratio(with_boxes, not_shown, _PRIOR_LEFTOVER)


def only_candidates(
    expected: ExpectedMissing,
    candidates: Candidates,
    fitted: ExpectedPrecision,
    keep: NDArray[np.bool_],
) -> ExpectedMissing:
    """Return what is expected with some of the candidates only, shape (N,), on every image."""
    kept = candidates.select(keep)
    seen = dict.fromkeys(expected.by_image, 0.0)
    for id, chance in zip(kept.image_ids.tolist(), fitted.of_object(kept).tolist(), strict=True):
        if id in seen:
            seen[id] += chance
    return replace(expected, seen=seen)


def remaining(
    before: ExpectedMissing,
    candidates: Candidates,
    fitted: ExpectedPrecision,
    evidence: Evidence,
    shares: Mapping[int, float] = MappingProxyType({}),
) -> ExpectedMissing:
    """Return what is still expected after reviews, whether images were marked as complete or not.

    Args:
        before: what was expected when the candidates were found.
        candidates: those on no hidden annotation.
        fitted: calibrated with what reviewers said.
        evidence: what that is.
        shares: see `still_open`: of classes that are complete nothing is missing.
    """
    left = only_candidates(before, candidates, fitted, evidence.open)
    unseen = {
        id: max(n * shares.get(id, 1.0) - evidence.drawn.get(id, 0), 0.0)
        for id, n in before.unseen.items()
    }
    return replace(left, unseen=unseen)


@dataclass(frozen=True)
class Missing:
    """How many objects are missing on each image that is not complete, and how sure that is."""

    by_image: Mapping[int, float]
    shape: float
    """Of the gamma distribution of their mean number."""

    @classmethod
    def of(cls, *parts: tuple[ExpectedMissing, Ratio]) -> "Missing":
        """Return it for parts of the images, each with its ratio of found to expected."""
        by_image = {
            id: ratio.mean * number
            for expected, ratio in parts
            for id, number in expected.by_image.items()
        }
        variance = sum(
            ratio.shape * (expected.total / ratio.rate) ** 2 for expected, ratio in parts
        )
        total = sum(by_image.values())
        return cls(by_image, total**2 / variance if variance else PRIOR_RATIO.shape)

    def with_earlier(self, earlier: Count, found: int) -> "Missing":
        """Return it with what an earlier model let expect, each weighted by how sure it is.

        What one model overlooks the next one often overlooks, too: a set in which it finds little
        is not as complete as it says.

        Args:
            earlier: the objects that were missing when the candidates were found.
            found: how many of them have got a box since.
        """
        own = sum(self.by_image.values())
        variance = own + own**2 / self.shape
        variance += (_LATER_SPREAD * own) ** 2 / (1 + own / _MANY) + _LEAST_VARIANCE
        left = max(earlier.mean - found, 0.0)
        weight, other = 1 / variance, 1 / max((earlier.spread * earlier.mean) ** 2, _LEAST_VARIANCE)
        mean = (weight * own + other * left) / (weight + other)
        if not self.by_image or mean <= 0:
            return self
        share = mean / len(self.by_image)
        by_image = {id: n * mean / own if own else share for id, n in self.by_image.items()}
        over = max(1 / (weight + other) - mean, mean / _MANY)
        return Missing(by_image, mean**2 / over)

    @property
    def count(self) -> Count | None:
        """All of them; None: none is expected."""
        total = sum(self.by_image.values())
        return Count(total, (1 / self.shape + 1 / total) ** 0.5) if total > 0 else None


def estimate(
    dataset: Dataset,
    missing: Missing,
    candidates: Candidates,
    fitted: ExpectedPrecision,
    *,
    audited: int,
) -> Completeness:
    """Return how complete the annotations are.

    Args:
        dataset: the annotations as they are.
        missing: what they lack.
        candidates: those that may be missing; they share the number out over the classes.
        fitted: calibrated on them.
        audited: images of blind samples that were completed.
    """
    mean = sum(missing.by_image.values())
    # Poisson with a gamma mean.
    chance = missing.shape / (missing.shape + mean) if mean else 1.0
    tail = (1 - INTERVAL) / 2
    low, high = (
        (float(nbinom.ppf(q, missing.shape, chance)) for q in (tail, 1 - tail))
        if mean
        else (0.0, 0.0)
    )
    counts = dataset.counts()
    of_class = by_class(dataset, candidates, fitted, mean)
    return Completeness(
        boxes=sum(counts.values()),
        missing=mean,
        missing_low=low,
        missing_high=high,
        basis="audit" if audited else "model",
        audited=audited,
        complete_images=sum(map(dataset.is_complete, dataset.images)),
        images=len(dataset.images),
        by_class={
            category.name: ClassCompleteness(counts[category.name], of_class[category.id])
            for category in dataset.categories
        },
    )


def _share(boxes: float, missing: float) -> float:
    return boxes / (boxes + missing) if boxes + missing else 1.0
