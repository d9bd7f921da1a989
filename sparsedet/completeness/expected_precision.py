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
from scipy.special import expit, log_expit, logit

from sparsedet.completeness.judged import Judged, nothing_judged
from sparsedet.completeness.object_count import Count, best_bin, combined
from sparsedet.mining.candidates import RIGHT, WRONG_CLASS, Candidates

Floats = NDArray[np.float64]

_CLIP = 1e-4
_FREE_OVERLAP = 0.2
"""Maximum IoU of separate objects, as drawn."""
_OFFSET_SPREAD = 0.5
"""Prior standard deviation of the classes' offsets."""
_CARRIED_SPREAD = 0.5
"""Carry-over between models: reviews of an earlier model reduce the prior spread of coefficients
at most to this fraction."""
_KEPT_SCORE = 0.05
"""Minimum score in a fit, if there are more than `_MANY` candidates."""
_MANY = 200_000
_SEEN_UNKNOWN = 0.9
_MOST_MISSING = 9.0
"""Plausible maximum of missing objects per annotation. Where a model has learned little and all
scores are alike, nothing else shows that not everything is an object ..."""
_MOST_SPREAD = 0.5
"""... and the standard deviation of its logarithm."""


@dataclass(frozen=True)
class Coefficients:
    """Coefficients of both logistic functions, and their standard deviations."""

    object: Floats
    """For a constant, the logit of the object score, nesting and overlap."""
    object_spread: Floats
    right_class: Floats
    """For a constant and the logit of the class's share of the object score."""
    right_class_spread: Floats


BEFORE_REVIEWS = Coefficients(
    # Mean over blood cells, playing cards and handwritten digits, each with 50 to 70 % of its boxes
    # removed and a model of 800 iterations.
    object=np.array([-1.5, 1.15, -2.0, -2.0]),
    object_spread=np.array([1.0, 0.35, 1.0, 1.0]),
    right_class=np.array([-0.4, 0.7]),
    right_class_spread=np.array([1.0, 0.4]),
)


@dataclass(frozen=True)
class ExpectedPrecision:
    """Fitted calibration of one model's candidates."""

    coefficients: Coefficients
    object_offsets: Floats
    """Shape (classes,): offsets of the constant, by class index."""
    class_offsets: Floats
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
        index = _indices(candidates, self.class_index)
        z = _class_rows(candidates) @ self.coefficients.right_class + self.class_offsets[index]
        return np.asarray(self.of_object(candidates) * expit(z))

    def of_object(self, candidates: Candidates) -> Floats:
        """Return the chance that each candidate shows a missing object of any class, (N,)."""
        index = _indices(candidates, self.class_index)
        z = _object_rows(candidates) @ self.coefficients.object + self.object_offsets[index]
        return np.asarray(expit(z))


def fit_expected_precision(
    candidates: Candidates,
    category_ids: Sequence[int],
    *,
    hidden: int,
    annotated: int = 0,
    judged: Judged | None = None,
    earlier: Coefficients | None = None,
    missing: Count | None = None,
    unreviewed: float = 1.0,
) -> ExpectedPrecision:
    """Fit the calibration of a model's candidates.

    Args:
        candidates: all, including those on hidden annotations.
        category_ids: the dataset's.
        hidden: number of hidden annotations, detected or not.
        annotated: number of all annotations; 0: unknown.
        judged: candidates of this model that people have judged.
        earlier: coefficients from reviews of an earlier model; None: no reviews.
        missing: expected number of objects without annotation when the candidates were found,
            from reviews of an earlier model's candidates.
        unreviewed: share of these on images without a review, 0 to 1.
    """
    if len(candidates) > _MANY:
        candidates = candidates.select(candidates.object_scores >= _KEPT_SCORE)
    prior = earlier or BEFORE_REVIEWS
    problem = _Problem.of(
        candidates, category_ids, hidden, annotated, judged, prior, missing, unreviewed
    )
    found = minimize(problem.value, problem.start(), jac=True, method="L-BFGS-B").x
    w, d, v, e = problem.split(found)
    return ExpectedPrecision(
        Coefficients(w, prior.object_spread, v, prior.right_class_spread),
        d,
        e,
        problem.class_index,
        seen=seen_share(candidates, hidden),
        hidden=hidden,
        judged=0 if judged is None else len(judged.candidates),
    )


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
        fitted.coefficients.object,
        base.object_spread * _CARRIED_SPREAD,
        fitted.coefficients.right_class,
        base.right_class_spread * _CARRIED_SPREAD,
    )


@dataclass(frozen=True)
class _Problem:
    """The penalised likelihood of both logistic functions."""

    unknown: Floats
    unknown_index: NDArray[np.int64]
    hidden: Floats
    hidden_index: NDArray[np.int64]
    hidden_class: Floats
    hidden_right: Floats
    judged: Floats
    judged_class: Floats
    judged_index: NDArray[np.int64]
    judged_object: Floats
    judged_right: Floats
    absent: Floats
    """Of judged candidates that may show an object of another class; those above do not."""
    absent_class: Floats
    absent_index: NDArray[np.int64]
    objects: tuple[float, float] | None
    """Logarithm of the number of objects among the candidates by the best bin, and its spread."""
    most: float
    """Logarithm of the plausible maximum of that number."""
    prior: Coefficients
    class_index: dict[int, int]
    hidden_weight: float
    """Of the scores of hidden annotations."""

    @classmethod
    def of(
        cls,
        candidates: Candidates,
        category_ids: Sequence[int],
        hidden: int,
        annotated: int,
        judged: Judged | None,
        prior: Coefficients,
        missing: Count | None,
        unreviewed: float,
    ) -> "_Problem":
        index = {number: position for position, number in enumerate(category_ids)}
        unknown = candidates.unknown
        on_hidden = candidates.select(
            (candidates.known == RIGHT) | (candidates.known == WRONG_CLASS)
        )
        people = judged or nothing_judged(candidates)
        known, absent = people.known, people.not_right
        by_scores = best_bin(candidates, hidden) if unreviewed else None
        if by_scores is not None:
            by_scores = Count(by_scores.mean, by_scores.spread / unreviewed**0.5)
        counts = () if judged is not None else (by_scores, missing)
        objects = combined([count for count in counts if count is not None])
        # Numbers of objects are limited to the share that is among the candidates at all.
        seen = float(np.log(seen_share(candidates, hidden)))
        if objects is not None:
            objects = objects[0] + seen, objects[1]
        return cls(
            _object_rows(unknown),
            _indices(unknown, index),
            _object_rows(on_hidden),
            _indices(on_hidden, index),
            _class_rows(on_hidden),
            (on_hidden.known == RIGHT).astype(np.float64),
            _object_rows(known.candidates),
            _class_rows(known.candidates),
            _indices(known.candidates, index),
            known.on_object.astype(np.float64),
            known.right.astype(np.float64),
            _object_rows(absent),
            _class_rows(absent),
            _indices(absent, index),
            objects,
            float(np.log(_MOST_MISSING * annotated)) + seen if annotated else np.inf,
            prior,
            index,
            hidden_weight=unreviewed,
        )

    def start(self) -> Floats:
        none = np.zeros(len(self.class_index))
        return np.concatenate([self.prior.object, none, self.prior.right_class, none])

    def split(self, x: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        classes = len(self.class_index)
        w, v = len(self.prior.object), len(self.prior.right_class)
        bounds = np.cumsum([w, classes, v])
        object, offsets, right_class, class_offsets = np.split(x, bounds)
        return object, offsets, right_class, class_offsets

    def value(self, x: Floats) -> tuple[float, Floats]:
        """Return the negative log-likelihood and its gradient."""
        w, d, v, e = self.split(x)
        classes = len(d)
        value = 0.0
        dw, dd, dv, de = (np.zeros_like(part) for part in (w, d, v, e))
        for part, gradient, mean, spread in (
            (w, dw, self.prior.object, self.prior.object_spread),
            (d, dd, 0.0, _OFFSET_SPREAD),
            (v, dv, self.prior.right_class, self.prior.right_class_spread),
            (e, de, 0.0, _OFFSET_SPREAD),
        ):
            value += float((((part - mean) / spread) ** 2).sum() / 2)
            gradient += (part - mean) / spread**2

        def add(
            rows: Floats, index: NDArray[np.int64], slope: Floats, dw: Floats, dd: Floats
        ) -> None:
            dw += rows.T @ slope
            dd += np.bincount(index, slope, minlength=classes)

        if len(self.unknown):
            p = expit(self.unknown @ w + d[self.unknown_index])
            total = p.sum()
            z = self.hidden @ w + d[self.hidden_index]
            weight = self.hidden_weight * len(z)
            value += weight * float(np.log(total))
            value -= self.hidden_weight * float(log_expit(z).sum())
            add(self.hidden, self.hidden_index, -self.hidden_weight * expit(-z), dw, dd)
            if self.objects is not None:
                off = (float(np.log(total)) - self.objects[0]) / self.objects[1]
                value += off**2 / 2
                weight += off / self.objects[1]
            beyond = max(float(np.log(total)) - self.most, 0.0) / _MOST_SPREAD
            value += beyond**2 / 2
            weight += beyond / _MOST_SPREAD
            add(self.unknown, self.unknown_index, weight * p * (1 - p) / total, dw, dd)
        if len(self.hidden):
            z = self.hidden_class @ v + e[self.hidden_index]
            right = self.hidden_right
            value -= float((right * log_expit(z) + (1 - right) * log_expit(-z)).sum())
            add(self.hidden_class, self.hidden_index, expit(z) - right, dv, de)
        if len(self.judged):
            zo = self.judged @ w + d[self.judged_index]
            zc = self.judged_class @ v + e[self.judged_index]
            there, right = self.judged_object, self.judged_right
            value -= float((there * log_expit(zo) + (1 - there) * log_expit(-zo)).sum())
            add(self.judged, self.judged_index, expit(zo) - there, dw, dd)
            # Only candidates on an object are informative about its class.
            value -= float((right * log_expit(zc) + (there - right) * log_expit(-zc)).sum())
            add(self.judged_class, self.judged_index, there * expit(zc) - right, dv, de)
        if len(self.absent):
            # No object of the class: either none at all, or one of another class.
            there = expit(self.absent @ w + d[self.absent_index])
            alike = expit(self.absent_class @ v + e[self.absent_index])
            wrong = np.maximum(1 - there * alike, 1e-12)
            value -= float(np.log(wrong).sum())
            slope = there * alike / wrong
            add(self.absent, self.absent_index, slope * (1 - there), dw, dd)
            add(self.absent_class, self.absent_index, slope * (1 - alike), dv, de)
        return value, np.concatenate([dw, dd, dv, de])


def _object_rows(candidates: Candidates) -> Floats:
    return np.stack(
        [
            np.ones(len(candidates)),
            logit(np.clip(candidates.object_scores, _CLIP, 1 - _CLIP)),
            np.maximum(candidates.nested - _FREE_OVERLAP, 0) / (1 - _FREE_OVERLAP),
            np.maximum(candidates.overlap - _FREE_OVERLAP, 0) / (1 - _FREE_OVERLAP),
        ],
        axis=1,
    )


def _class_rows(candidates: Candidates) -> Floats:
    share = candidates.scores / np.maximum(candidates.object_scores, _CLIP)
    return np.stack([np.ones(len(candidates)), logit(np.clip(share, _CLIP, 1 - _CLIP))], axis=1)


def _indices(candidates: Candidates, class_index: dict[int, int]) -> NDArray[np.int64]:
    return np.array([class_index[int(id)] for id in candidates.category_ids], dtype=np.int64)
