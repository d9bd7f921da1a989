"""The penalised likelihood of expected precision, and its gradient; see `expected_precision`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, logit

from sparsedet.completeness.judged import Judged, nothing_judged
from sparsedet.mining.candidates import RIGHT, WRONG_CLASS, Candidates

Floats = NDArray[np.float64]

_CLIP = 1e-4
_FREE_OVERLAP = 0.2
"""Maximum IoU of separate objects, as drawn."""
_OFFSET_SPREAD = 0.5
"""Prior standard deviation of the classes' offsets."""
_MOST_SPREAD = 0.5
"""Standard deviation of the logarithm of the plausible maximum of missing objects."""


@dataclass(frozen=True)
class Coefficients:
    """Coefficients of both logistic functions, and their standard deviations."""

    object: Floats
    """For a constant, the logit of the object score, nesting and overlap."""
    object_spread: Floats
    right_class: Floats
    """For a constant and the logit of the class's share of the object score."""
    right_class_spread: Floats


@dataclass(frozen=True)
class Rows:
    """Candidates as both logistic functions see them."""

    object: Floats
    """Shape (N, 4), in the order of `Coefficients.object`."""
    right_class: Floats
    """Shape (N, 2), in the order of `Coefficients.right_class`."""
    index: NDArray[np.int64]
    """Class indices, shape (N,)."""

    @classmethod
    def of(cls, candidates: Candidates, class_index: Mapping[int, int]) -> "Rows":
        """Return the rows of candidates, given category id -> class index."""
        ones = np.ones(len(candidates))
        share = candidates.scores / np.maximum(candidates.object_scores, _CLIP)
        return cls(
            np.stack(
                [
                    ones,
                    logit(np.clip(candidates.object_scores, _CLIP, 1 - _CLIP)),
                    np.maximum(candidates.nested - _FREE_OVERLAP, 0) / (1 - _FREE_OVERLAP),
                    np.maximum(candidates.overlap - _FREE_OVERLAP, 0) / (1 - _FREE_OVERLAP),
                ],
                axis=1,
            ),
            np.stack([ones, logit(np.clip(share, _CLIP, 1 - _CLIP))], axis=1),
            np.array([class_index[int(id)] for id in candidates.category_ids], dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.index)


class Parameters(NamedTuple):
    """What is fitted: coefficients of both logistic functions, and offsets of their constants."""

    object: Floats
    """Shape (4,)."""
    object_offsets: Floats
    """Shape (classes,)."""
    right_class: Floats
    """Shape (2,)."""
    class_offsets: Floats
    """Shape (classes,)."""

    def object_logits(self, rows: Rows) -> Floats:
        """Return the logit of the chance that each candidate shows an object, shape (N,)."""
        return np.asarray(rows.object @ self.object + self.object_offsets[rows.index])

    def class_logits(self, rows: Rows) -> Floats:
        """Return the same for the chance that an object there is of the candidate's class."""
        return np.asarray(rows.right_class @ self.right_class + self.class_offsets[rows.index])


class _Loss:
    """The sum of some terms, and its gradient by the parameters."""

    def __init__(self, at: Parameters) -> None:
        self.value = 0.0
        self.gradient = Parameters(*map(np.zeros_like, at))

    def add_object_slope(self, rows: Rows, slope: Floats) -> None:
        """Add to the gradient, given the derivatives by `object_logits`, shape (N,)."""
        self.gradient.object[:] += rows.object.T @ slope
        _add_by_class(self.gradient.object_offsets, rows, slope)

    def add_class_slope(self, rows: Rows, slope: Floats) -> None:
        """Add to the gradient, given the derivatives by `class_logits`, shape (N,)."""
        self.gradient.right_class[:] += rows.right_class.T @ slope
        _add_by_class(self.gradient.class_offsets, rows, slope)


def _add_by_class(sums: Floats, rows: Rows, slope: Floats) -> None:
    sums += np.bincount(rows.index, slope, minlength=len(sums))


@dataclass(frozen=True)
class Likelihood:
    """The penalised likelihood of both logistic functions."""

    unknown: Rows
    """Candidates on no hidden annotation."""
    hidden: Rows
    """Candidates on hidden annotations ..."""
    hidden_right: Floats
    """... and whether they are of their class: 0 or 1, like the other truths."""
    judged: Rows
    """Judged candidates ..."""
    judged_object: Floats
    judged_right: Floats
    absent: Rows
    """Judged candidates that may show an object of another class; those above do not."""
    prior: Coefficients
    classes: int
    """Number of classes."""
    objects: tuple[float, float] | None
    """Logarithm of the number of objects among the unknown candidates, and its spread."""
    most: float
    """Logarithm of the plausible maximum of that number."""
    hidden_weight: float
    """Of the scores of hidden annotations."""

    @classmethod
    def of(
        cls,
        candidates: Candidates,
        class_index: Mapping[int, int],
        judged: Judged | None,
        prior: Coefficients,
        *,
        objects: tuple[float, float] | None,
        most: float,
        hidden_weight: float,
    ) -> "Likelihood":
        """Return the likelihood of a model's candidates.

        Args:
            candidates: all, including those on hidden annotations.
            class_index: category id -> class index.
            judged: candidates of this model that people have judged.
            prior: coefficients before that.
            objects: see the attribute, like those below.
            most: plausible maximum of the number of objects.
            hidden_weight: of the scores of hidden annotations.
        """
        on_hidden = candidates.select(
            (candidates.known == RIGHT) | (candidates.known == WRONG_CLASS)
        )
        people = judged or nothing_judged(candidates)
        return cls(
            unknown=Rows.of(candidates.unknown, class_index),
            hidden=Rows.of(on_hidden, class_index),
            hidden_right=(on_hidden.known == RIGHT).astype(np.float64),
            judged=Rows.of(people.known.candidates, class_index),
            judged_object=people.known.on_object.astype(np.float64),
            judged_right=people.known.right.astype(np.float64),
            absent=Rows.of(people.not_right, class_index),
            prior=prior,
            classes=len(class_index),
            objects=objects,
            most=most,
            hidden_weight=hidden_weight,
        )

    def start(self) -> Floats:
        """Return the parameters to start from, as one vector."""
        none = np.zeros(self.classes)
        return np.concatenate([self.prior.object, none, self.prior.right_class, none])

    def parameters(self, x: Floats) -> Parameters:
        """Return the parameters in a vector."""
        sizes = [len(self.prior.object), self.classes, len(self.prior.right_class)]
        return Parameters(*np.split(x, np.cumsum(sizes)))

    def value(self, x: Floats) -> tuple[float, Floats]:
        """Return the negative log-likelihood and its gradient, of parameters in a vector."""
        at = self.parameters(x)
        loss = _Loss(at)
        self._add_prior(at, loss)
        if len(self.unknown):
            self._add_scores(at, loss)
        if len(self.hidden):
            self._add_hidden_classes(at, loss)
        if len(self.judged):
            self._add_judged(at, loss)
        if len(self.absent):
            self._add_absent(at, loss)
        return loss.value, np.concatenate(loss.gradient)

    def _add_prior(self, at: Parameters, loss: _Loss) -> None:
        prior = self.prior
        slope = loss.gradient
        for part, gradient, mean, spread in (
            (at.object, slope.object, prior.object, prior.object_spread),
            (at.object_offsets, slope.object_offsets, 0.0, _OFFSET_SPREAD),
            (at.right_class, slope.right_class, prior.right_class, prior.right_class_spread),
            (at.class_offsets, slope.class_offsets, 0.0, _OFFSET_SPREAD),
        ):
            loss.value += float((((part - mean) / spread) ** 2).sum() / 2)
            gradient += (part - mean) / spread**2

    def _add_scores(self, at: Parameters, loss: _Loss) -> None:
        """Compare the scores of hidden annotations with those of all candidates."""
        p = expit(at.object_logits(self.unknown))
        total = p.sum()
        log_total = float(np.log(total))
        z = at.object_logits(self.hidden)
        weight = self.hidden_weight * len(z)
        loss.value += weight * log_total
        loss.value -= self.hidden_weight * float(log_expit(z).sum())
        loss.add_object_slope(self.hidden, -self.hidden_weight * expit(-z))
        if self.objects is not None:
            mean, spread = self.objects
            off = (log_total - mean) / spread
            loss.value += off**2 / 2
            weight += off / spread
        beyond = max(log_total - self.most, 0.0) / _MOST_SPREAD
        loss.value += beyond**2 / 2
        weight += beyond / _MOST_SPREAD
        loss.add_object_slope(self.unknown, weight * p * (1 - p) / total)

    def _add_hidden_classes(self, at: Parameters, loss: _Loss) -> None:
        z, right = at.class_logits(self.hidden), self.hidden_right
        loss.value -= float((right * log_expit(z) + (1 - right) * log_expit(-z)).sum())
        loss.add_class_slope(self.hidden, expit(z) - right)

    def _add_judged(self, at: Parameters, loss: _Loss) -> None:
        there, right = self.judged_object, self.judged_right
        z = at.object_logits(self.judged)
        loss.value -= float((there * log_expit(z) + (1 - there) * log_expit(-z)).sum())
        loss.add_object_slope(self.judged, expit(z) - there)
        # Only candidates on an object are informative about its class.
        z = at.class_logits(self.judged)
        loss.value -= float((right * log_expit(z) + (there - right) * log_expit(-z)).sum())
        loss.add_class_slope(self.judged, there * expit(z) - right)

    def _add_absent(self, at: Parameters, loss: _Loss) -> None:
        """No object of the class: either none at all, or one of another class."""
        there = expit(at.object_logits(self.absent))
        alike = expit(at.class_logits(self.absent))
        wrong = np.maximum(1 - there * alike, 1e-12)
        loss.value -= float(np.log(wrong).sum())
        slope = there * alike / wrong
        loss.add_object_slope(self.absent, slope * (1 - there))
        loss.add_class_slope(self.absent, slope * (1 - alike))
