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
from dataclasses import dataclass
from typing import Literal

from scipy.stats import nbinom

from sparsedet.annotations import Dataset
from sparsedet.completeness.evidence import Evidence, Found
from sparsedet.completeness.expected_missing import ExpectedMissing, by_class
from sparsedet.completeness.expected_precision import ExpectedPrecision
from sparsedet.mining.candidates import Candidates

INTERVAL = 0.9
"""Probability that an interval holds the truth."""
_MODEL_SPREAD = 0.3
"""Standard deviation of the ratio before anything was found: how far off a model's own account of
what is missing may be, as a share."""
_CHOSEN_WEIGHT = 0.3
"""What an image that was not drawn at random counts."""


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


def updated_ratio(found: Sequence[Found], expected: ExpectedMissing, prior: Ratio) -> Ratio:
    """Return the ratio after images were completed.

    Args:
        found: what was found on them.
        expected: what was expected there.
        prior: the ratio before.
    """
    shape, rate = prior.shape, prior.rate
    for image in found:
        weight = 1.0 if image.audit else _CHOSEN_WEIGHT
        shape += weight * image.objects
        rate += weight * expected.by_image.get(image.image_id, 0.0)
    return Ratio(shape, rate)


def remaining(
    before: ExpectedMissing,
    candidates: Candidates,
    fitted: ExpectedPrecision,
    evidence: Evidence,
) -> ExpectedMissing:
    """Return what is still expected after reviews, whether images were marked as complete or not.

    Args:
        before: what was expected when the candidates were found.
        candidates: those on no hidden annotation.
        fitted: calibrated with what reviewers said.
        evidence: what that is.
    """
    left = candidates.select(evidence.open)
    seen = dict.fromkeys(before.by_image, 0.0)
    for id, chance in zip(left.image_ids.tolist(), fitted.of_object(left).tolist(), strict=True):
        if id in seen:
            seen[id] += chance
    unseen = {id: max(before.unseen[id] - evidence.drawn.get(id, 0), 0.0) for id in seen}
    return ExpectedMissing(seen, unseen)


def estimate(
    dataset: Dataset,
    expected: ExpectedMissing,
    ratio: Ratio,
    candidates: Candidates,
    fitted: ExpectedPrecision,
    *,
    audited: int,
) -> Completeness:
    """Return how complete the annotations are.

    Args:
        dataset: the annotations as they are.
        expected: what is missing on images that are not complete.
        ratio: found to expected.
        candidates: those that may be missing; they share the number out over the classes.
        fitted: calibrated on them.
        audited: images of blind samples that were completed.
    """
    mean = ratio.mean * expected.total
    # Poisson with a gamma mean.
    chance = ratio.shape / (ratio.shape + mean) if mean else 1.0
    tail = (1 - INTERVAL) / 2
    low, high = (
        (float(nbinom.ppf(q, ratio.shape, chance)) for q in (tail, 1 - tail))
        if mean
        else (0.0, 0.0)
    )
    counts = dataset.counts()
    missing = by_class(dataset, candidates, fitted, mean)
    return Completeness(
        boxes=sum(counts.values()),
        missing=mean,
        missing_low=low,
        missing_high=high,
        basis="audit" if audited else "model",
        audited=audited,
        complete_images=sum(image.exhaustive for image in dataset.images),
        images=len(dataset.images),
        by_class={
            category.name: ClassCompleteness(counts[category.name], missing[category.id])
            for category in dataset.categories
        },
    )


def _share(boxes: float, missing: float) -> float:
    return boxes / (boxes + missing) if boxes + missing else 1.0
