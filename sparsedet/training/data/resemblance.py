"""Resemblance: whether what a model found looks like annotated objects, or like anything else.

Scores don't tell an object from a thing that was never annotated but is as distinct, as another
card, or a sheet of paper. The surest detections show how much missing objects resemble annotated
ones, and those that most likely show nothing how much other things do; see `mining.prototypes`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import Box, Dataset
from sparsedet.completeness.expected_precision import ExpectedPrecision, fit_expected_precision
from sparsedet.mining.candidates import Candidates, find_candidates
from sparsedet.mining.detections import Detections
from sparsedet.mining.prototypes import Prototypes, log_likelihood_ratios
from sparsedet.training.data.pseudo_labels import PseudoLabels

_UNLIKELY = 0.08
"""Chance of an object up to which detections show what other things resemble ..."""
_MOST_UNLIKELY = 600
"""... at most this many."""
_AGAINST = -1.5
"""Evidence from which an ignore region is background."""

Floats = NDArray[np.float64]
FeaturesOf = Callable[[Sequence[Box]], NDArray[np.float32]]
"""Returns the model's features of N boxes, shape (N, D), of unit length."""


@dataclass(frozen=True)
class Rated:
    """A model's candidates on its training images, and their calibration."""

    candidates: Candidates
    fitted: ExpectedPrecision

    @classmethod
    def of(cls, detections: Sequence[Detections], dataset: Dataset) -> "Rated":
        """Rate the detections of a dataset's images that none of its annotations explains."""
        candidates = find_candidates(detections, dataset)
        ids = [category.id for category in dataset.categories]
        annotated = len(dataset.boxes)
        return cls(
            candidates, fit_expected_precision(candidates, ids, hidden=0, annotated=annotated)
        )

    def boxes(self, rows: NDArray[np.int64]) -> list[Box]:
        """Return candidates as boxes, numbered from 1."""
        numbers = enumerate(zip(rows, self.candidates.boxes[rows].tolist(), strict=True), start=1)
        return [
            Box(
                number,
                int(self.candidates.image_ids[row]),
                int(self.candidates.category_ids[row]),
                (left, top, right, bottom),
                origin="mined",
            )
            for number, (row, (left, top, right, bottom)) in numbers
        ]

    def unlikely(self) -> list[Box]:
        """Return candidates that most likely show no object."""
        rows = np.flatnonzero(self.fitted.of_object(self.candidates) < _UNLIKELY)
        return self.boxes(rows[:: len(rows) // _MOST_UNLIKELY + 1])


def resemblance(
    found: Sequence[Box],
    sure: NDArray[np.bool_],
    others: Sequence[Box],
    dataset: Dataset,
    features_of: FeaturesOf,
) -> tuple[NDArray[np.int64], Floats]:
    """Return the class that each of N boxes resembles most, and the evidence for an object, (N,).

    Args:
        found: the boxes.
        sure: which of them most likely show objects, shape (N,).
        others: boxes that most likely show none.
        dataset: the annotations.
        features_of: returns features of boxes.
    """
    people = [box for box in dataset.boxes if not box.iscrowd]
    if not people or not found:
        return np.array([box.category_id for box in found]), np.zeros(len(found))
    features = features_of([*people, *found, *others])
    prototypes = Prototypes.of(features[: len(people)], [box.category_id for box in people])
    features = features[len(people) :]
    similarity = prototypes.similarity(features)
    own, of_others = similarity[: len(found)], similarity[len(found) :]
    ratios = log_likelihood_ratios(own, objects=own[sure], others=of_others)
    return prototypes.nearest(features[: len(found)]), ratios


def without_unlike(
    found: PseudoLabels, rated: Rated, dataset: Dataset, features_of: FeaturesOf
) -> PseudoLabels:
    """Return boxes without the ignore regions that resemble other things: these are background.

    Args:
        found: labels, which are sure, and ignore regions.
        rated: the candidates of the same images.
        dataset: the annotations.
        features_of: returns features of boxes.
    """
    boxes = [*found.labels, *found.ignored]
    is_label = np.arange(len(boxes)) < len(found.labels)
    _, evidence = resemblance(boxes, is_label, rated.unlikely(), dataset, features_of)
    stays = evidence[~is_label] >= _AGAINST
    return replace(
        found, ignored=tuple(box for box, yes in zip(found.ignored, stays, strict=True) if yes)
    )
