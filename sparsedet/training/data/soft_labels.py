"""Soft labels: what a model finds counts in training as much as it is likely to be right.

Thresholds divide detections into labels, ignore regions and background, and all three kinds contain
many wrong ones. Instead, every detection that no annotation explains is a label, weighted by its
expected precision (`completeness.expected_precision`, calibrated for each model): the calibrated
confidence of Wang et al., "Calibrated Teacher for Sparsely Annotated Object Detection" (AAAI 2023),
in place of a threshold on it. If only the class is in doubt, a box is an ignore region.

The chance of an object is corrected by what the box resembles; see `resemblance`.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from sparsedet.annotations import XYXY, Dataset
from sparsedet.annotations.matching import SAME_OBJECT_IOU, iou_matrix
from sparsedet.mining.candidates import Candidates
from sparsedet.training.data.pseudo_labels import PseudoLabels
from sparsedet.training.data.resemblance import FeaturesOf, Rated, resemblance

_LEAST_DETECTED = 0.15
"""Chance of an object below which a detection is background ..."""
_LEAST_RESEMBLING = 0.1
"""... and this one after correction by what it resembles."""
_CLEAR_CLASS = 0.6
"""Chance of the class, given an object, from which a box is a label, not an ignore region."""
_LIKELY = 0.5
"""Chance from which detections show what objects resemble."""
_CLIP = 0.01

Floats = NDArray[np.float64]


def soft_labels(
    rated: Rated, dataset: Dataset, features_of: FeaturesOf | None = None
) -> PseudoLabels:
    """Return candidates that may show an object without an annotation, weighted.

    Args:
        rated: the candidates of the dataset's images.
        dataset: the images and their annotations.
        features_of: for the correction by what boxes resemble; None: by scores alone.
    """
    candidates = rated.candidates
    objects, right = rated.fitted.of_object(candidates), rated.fitted.of(candidates)
    rows = _distinct(candidates, right, objects >= _LEAST_DETECTED)
    chances = objects[rows]
    of_class = right[rows] / np.maximum(chances, _CLIP)
    is_clear = of_class >= _CLEAR_CLASS
    if features_of is not None:
        nearest, evidence = resemblance(
            rated.boxes(rows), right[rows] >= _LIKELY, rated.unlikely(), dataset, features_of
        )
        chances = expit(logit(chances.clip(_CLIP, 1 - _CLIP)) + evidence)
        is_clear &= nearest == candidates.category_ids[rows]
    stays = chances >= _LEAST_RESEMBLING
    labels = np.flatnonzero(stays & is_clear)
    return PseudoLabels(
        tuple(rated.boxes(rows[labels])),
        tuple((of_class * chances)[labels].tolist()),
        tuple(rated.boxes(rows[stays & ~is_clear])),
    )


def _distinct(
    candidates: Candidates, chances: Floats, likely: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the rows of likely candidates, the most certain first, each object once."""
    taken: dict[int, list[XYXY]] = {}
    kept = []
    for row in np.argsort(-chances, kind="stable"):
        left, top, right, bottom = candidates.boxes[row].tolist()
        box = (left, top, right, bottom)
        others = taken.setdefault(int(candidates.image_ids[row]), [])
        if likely[row] and not (iou_matrix([box], others) >= SAME_OBJECT_IOU).any():
            others.append(box)
            kept.append(int(row))
    return np.array(kept, dtype=np.int64)
