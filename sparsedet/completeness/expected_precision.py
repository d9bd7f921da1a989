"""Expected precision: the chance that a reviewer accepts a candidate.

A model's scores are not probabilities of that: it learns missing objects as background, and its own
mistakes as labels. Before any review, they are calibrated with annotations hidden from the
training. The model treats these like missing objects, so their scores are distributed like those of
the objects among the candidates; the rest at each score is wrong. This is learning from positive
and unlabelled data (Elkan and Noto, "Learning Classifiers from Only Positive and Unlabeled Data",
KDD 2008) in its presence-only form (Ward et al., "Presence-Only Data and the EM Algorithm",
Biometrics 2009). The number of objects follows from the scores at which nearly all candidates are
objects (the best bin of Garg et al., "Mixture Proportion Estimation and PU Learning: A Modern
Approach", NeurIPS 2021).

In later rounds that number also follows from what earlier ones expected to be left. On reviewed
images, what is still missing is harder to detect than hidden annotations, as models have been
trained on it as background: scores count as much as there are missing objects on other images.
Decisions of reviewers count as well, and more so the more there are.

The chance is the product of two logistic functions: that there is an object, and that its class
is the candidate's. Each class has an offset of its own, shrunk towards zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from sparsedet.completeness.judged import Judged
from sparsedet.completeness.object_count import Count, best_bin, combined
from sparsedet.completeness.precision_likelihood import (
    Coefficients,
    Likelihood,
    Parameters,
    Rows,
)
from sparsedet.mining.candidates import RIGHT, WRONG_CLASS, Candidates

Floats = NDArray[np.float64]

_CARRIED_SPREAD = 0.5
"""Carry-over between models: reviews of an earlier model reduce the prior spread of coefficients
at most to this fraction."""
_KEPT_SCORE = 0.05
"""Minimum score in a fit, if there are more than `_MANY` candidates."""
_MANY = 200_000
_SEEN_UNKNOWN = 0.9
_MOST_MISSING = 9.0
"""Plausible maximum of missing objects per annotation. Where a model has learned little and all
scores are alike, nothing else shows that not everything is an object."""

BEFORE_REVIEWS = Coefficients(
    # Mean over blood cells, playing cards and handwritten digits, each with 50 to 70 % of its boxes
    # removed and a model of 800 iterations.
    object=np.array([-1.5, 1.15, -2.0, -2.0]),
    object_spread=np.array([1.0, 0.35, 1.0, 1.0]),
    right_class=np.array([-0.4, 0.7]),
    right_class_spread=np.array([1.0, 0.4]),
)


@dataclass(frozen=True, slots=True)
class EarlierRounds:
    """What earlier rounds say about a model's candidates; by default, there were none."""

    calibration: Coefficients | None = None
    """That of the previous model; None: none of its boxes were reviewed."""
    missing: Count | None = None
    """Expected number of objects without annotation when the candidates were found."""
    unreviewed: float = 1.0
    """Share of these on images without a review, 0 to 1."""


FIRST_ROUND = EarlierRounds()


@dataclass(frozen=True)
class ExpectedPrecision:
    """Fitted calibration of one model's candidates."""

    parameters: Parameters
    class_index: dict[int, int]
    """Category id -> class index."""
    seen: float
    """Share of the objects without annotation that are among the candidates, 0 to 1."""
    hidden: int
    """Number of hidden annotations used ..."""
    judged: int
    """... and of judged candidates."""

    def of(self, candidates: Candidates) -> Floats:
        """Return the chance that a reviewer accepts each candidate, shape (N,)."""
        rows = Rows.of(candidates, self.class_index)
        there, alike = self.parameters.object_logits(rows), self.parameters.class_logits(rows)
        return np.asarray(expit(there) * expit(alike))

    def of_object(self, candidates: Candidates) -> Floats:
        """Return the chance that each candidate shows a missing object of any class, (N,)."""
        rows = Rows.of(candidates, self.class_index)
        return np.asarray(expit(self.parameters.object_logits(rows)))


def fit_expected_precision(
    candidates: Candidates,
    category_ids: Sequence[int],
    *,
    hidden: int,
    annotated: int = 0,
    judged: Judged | None = None,
    earlier: EarlierRounds = FIRST_ROUND,
) -> ExpectedPrecision:
    """Fit the calibration of a model's candidates.

    Args:
        candidates: all, including those on hidden annotations.
        category_ids: the dataset's.
        hidden: number of hidden annotations, detected or not.
        annotated: number of all annotations; 0: unknown.
        judged: candidates of this model that people have judged.
        earlier: what earlier rounds say.
    """
    if len(candidates) > _MANY:
        candidates = candidates.select(candidates.object_scores >= _KEPT_SCORE)
    class_index = {number: position for position, number in enumerate(category_ids)}
    counts = [] if judged is not None else _counts(candidates, hidden, earlier)
    objects = combined(counts)
    # Numbers of objects are limited to the share that is among the candidates at all.
    seen = seen_share(candidates, hidden)
    log_seen = float(np.log(seen))
    if objects is not None:
        objects = objects[0] + log_seen, objects[1]
    likelihood = Likelihood.of(
        candidates,
        class_index,
        judged,
        earlier.calibration or BEFORE_REVIEWS,
        objects=objects,
        most=float(np.log(_MOST_MISSING * annotated)) + log_seen if annotated else np.inf,
        hidden_weight=earlier.unreviewed,
    )
    found = minimize(likelihood.value, likelihood.start(), jac=True, method="L-BFGS-B").x
    return ExpectedPrecision(
        likelihood.parameters(found),
        class_index,
        seen=seen,
        hidden=hidden,
        judged=0 if judged is None else len(judged.candidates),
    )


def _counts(candidates: Candidates, hidden: int, earlier: EarlierRounds) -> list[Count]:
    """Return the numbers of missing objects by the model's scores, and by earlier reviews."""
    by_scores = best_bin(candidates, hidden) if earlier.unreviewed else None
    if by_scores is not None:
        by_scores = Count(by_scores.mean, by_scores.spread / earlier.unreviewed**0.5)
    return [count for count in (by_scores, earlier.missing) if count is not None]


def seen_share(
    candidates: Candidates, hidden: int, *, found: float = 0.0, objects: float = 0.0
) -> float:
    """Return the share of objects that are among the candidates, 0 to 1.

    By Laplace's rule, since few objects prove little; without any, it is `_SEEN_UNKNOWN`.

    Args:
        candidates: all of them, including those on hidden annotations.
        hidden: number of hidden annotations, detected or not.
        found: further objects among the candidates ...
        objects: ... out of this many, on images that people completed.
    """
    known = candidates.known
    seen = float(((known == RIGHT) | (known == WRONG_CLASS)).sum()) + found
    total = hidden + objects
    return (seen + 1) / (total + 2) if total else _SEEN_UNKNOWN


def carried(fitted: ExpectedPrecision) -> Coefficients:
    """Return the prior for the next model's candidates, from a fit with judged candidates."""
    base = BEFORE_REVIEWS
    return Coefficients(
        fitted.parameters.object,
        base.object_spread * _CARRIED_SPREAD,
        fitted.parameters.right_class,
        base.right_class_spread * _CARRIED_SPREAD,
    )
