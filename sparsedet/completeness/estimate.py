"""The completeness estimate: objects with and without a box, with an interval.

The number of missing objects is the number expected from the candidates, times a ratio: objects
found on completed images to objects expected there. This is a ratio estimator with the model's
candidates as auxiliary variable (Cochran, "Sampling Techniques", 1977, chapter 6), in Bayesian
form: numbers of missing objects are Poisson, the ratio has a gamma prior around 1, and findings
sharpen it. Blind-sample images count in full. Others count less: they were selected, and a person
who sees a model's boxes overlooks what the model overlooked.

Without a blind sample the estimate rests on the model, and its interval is wider.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import nbinom

from sparsedet.annotations import Dataset
from sparsedet.completeness.evidence import Evidence
from sparsedet.completeness.expected_missing import ExpectedMissing, by_class
from sparsedet.completeness.expected_precision import ExpectedPrecision
from sparsedet.completeness.object_count import Count
from sparsedet.completeness.ratio import PRIOR_RATIO, Ratio
from sparsedet.mining.candidates import Candidates
from sparsedet.wording import counted

INTERVAL = 0.9
"""Probability that an interval contains the true value."""
_LATER_SPREAD = 1.0
"""Relative error of a later model's account if little is left ..."""
_MANY = 10.0
"""... decreasing above this number of objects."""
_LEAST_VARIANCE = 0.25
_CLASS_SPREAD = 0.4
"""Relative error of the shares of small classes: of 484 intervals of classes, 94 % held the truth
(`benchmarks/results/tried.md`)."""


@dataclass(frozen=True, slots=True)
class ClassCompleteness:
    """Counts for one class."""

    boxes: int
    missing: float
    missing_low: float
    missing_high: float


@dataclass(frozen=True, slots=True)
class Completeness:
    """Numbers of objects with and without a box."""

    boxes: int
    """Objects with a box."""
    missing: float
    """Expected number of objects without one."""
    missing_low: float
    """Lower bound of the `INTERVAL` of their number ..."""
    missing_high: float
    """... and its upper bound."""
    basis: Literal["audit", "model"]
    """Whether it rests on a blind sample, or on the model alone."""
    audited: int
    """Number of completed blind-sample images."""
    complete_images: int
    """Number of images that people marked as complete."""
    images: int
    by_class: Mapping[str, ClassCompleteness]
    """By category name."""

    @property
    def share(self) -> float:
        """Share of the objects that have a box, 0 to 1."""
        return _share(self.boxes, self.missing)

    @property
    def low(self) -> float:
        """Lower bound of the share's interval."""
        return _share(self.boxes, self.missing_high)

    @property
    def high(self) -> float:
        """Upper bound of the share's interval."""
        return _share(self.boxes, self.missing_low)

    def sentence(self) -> str:
        """Return the estimate in words."""
        objects = round(self.boxes + self.missing)
        text = (
            f"about {self.boxes} of {counted(objects, 'object')} "
            f"{'has' if self.boxes == 1 else 'have'} a box ({self.share:.0%}, "
            f"{INTERVAL:.0%} interval {100 * self.low:.0f} to {100 * self.high:.0f})"
        )
        if self.basis == "model":
            text += "; this rests on the model alone: no blind-sample image was completed yet"
        return text


def only_candidates(
    expected: ExpectedMissing,
    candidates: Candidates,
    fitted: ExpectedPrecision,
    keep: NDArray[np.bool_],
) -> ExpectedMissing:
    """Return the expected numbers using only some candidates, shape (N,), for every image."""
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
    """Return the numbers still expected after reviews, for complete and incomplete images.

    Args:
        before: the expectation when the candidates were found.
        candidates: those on no hidden annotation.
        fitted: calibrated with reviews.
        evidence: from these reviews.
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
    """The number of missing objects on each incomplete image, with its uncertainty."""

    by_image: Mapping[int, float]
    shape: float
    """Shape of the gamma distribution of the mean number."""

    @cached_property
    def total(self) -> float:
        """The number on all images; once, since every class has an interval of its own."""
        return sum(self.by_image.values())

    @classmethod
    def of(cls, *parts: tuple[ExpectedMissing, Ratio]) -> "Missing":
        """Return it for parts of the images, each with its own found-to-expected ratio."""
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
        """Combine it with an earlier model's expectation, weighted by certainty.

        Objects missed by one model are often missed by the next one, too: a set with few detections
        is less complete than the model suggests.

        Args:
            earlier: objects missing when the candidates were found.
            found: number of them that have got a box since.
        """
        own = self.total
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

    def interval(self, share: float = 1.0) -> tuple[float, float]:
        """Return the bounds of the `INTERVAL` of the total, or of a class.

        Args:
            share: the share of the class in the total, 0 to 1; the smaller, the less certain it is.
        """
        mean = share * self.total
        if not mean:
            return 0.0, 0.0
        # Poisson with a gamma-distributed mean.
        shape = 1 / (1 / self.shape + (1 - share) * _CLASS_SPREAD**2)
        chance, tail = shape / (shape + mean), (1 - INTERVAL) / 2
        low, high = nbinom.ppf((tail, 1 - tail), shape, chance).tolist()
        return low, high

    @property
    def count(self) -> Count | None:
        """The total; None: none is expected."""
        if self.total <= 0:
            return None
        return Count(self.total, (1 / self.shape + 1 / self.total) ** 0.5)


def estimate(
    dataset: Dataset,
    missing: Missing,
    candidates: Candidates,
    fitted: ExpectedPrecision,
    *,
    audited: int,
) -> Completeness:
    """Return the completeness estimate.

    Args:
        dataset: the current annotations.
        missing: what they lack.
        candidates: possibly missing objects; they distribute the number over the classes.
        fitted: calibrated on them.
        audited: number of completed blind-sample images.
    """
    low, high = missing.interval()
    counts = dataset.counts()
    of_class = by_class(dataset, candidates, fitted, missing.total)
    return Completeness(
        boxes=sum(counts.values()),
        missing=missing.total,
        missing_low=low,
        missing_high=high,
        basis="audit" if audited else "model",
        audited=audited,
        complete_images=sum(map(dataset.is_complete, dataset.images)),
        images=len(dataset.images),
        by_class={
            category.name: ClassCompleteness(
                counts[category.name],
                of_class[category.id],
                *missing.interval(of_class[category.id] / (missing.total or 1.0)),
            )
            for category in dataset.categories
        },
    )


def _share(boxes: float, missing: float) -> float:
    return boxes / (boxes + missing) if boxes + missing else 1.0
