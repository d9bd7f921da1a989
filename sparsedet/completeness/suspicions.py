"""Suspicious annotations, found by a model that was trained on them.

A model learns wrong labels, too, so it rarely contradicts one outright. It hesitates: if nearly
every box of the data is confirmed with a score of 0.99, one with 0.9, and 0.1 for another class,
stands out. So each box is compared with the others: how far it deviates from the norm, in robust
standard deviations, which a few wrong boxes don't change. Boxes hidden from the training are
confirmed less firmly, and are compared with each other if there are enough.

The mapping from deviation to certainty was fitted to faults planted in two datasets; see
`benchmarks/suspicions.py`.
"""

from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from sparsedet.annotations import XYXY, Dataset
from sparsedet.annotations.suspicions import SUSPICION_KINDS, Suspicion, SuspicionKind, box_name
from sparsedet.completeness.label_evidence import NO_SCORE, LabelEvidence, label_evidence
from sparsedet.mining.detections import Detections

LEAST_CERTAINTY = 0.5
"""Less suspicious boxes are not worth a look."""

_ENOUGH = 20
"""Smaller groups are compared with all boxes."""
_NORMAL_QUARTILE = 0.6745
"""Upper quartile of the standard normal distribution."""
_EDGE = 0.02
"""Added to 1 - IoU before taking the logarithm: pixels are whole."""
_CAPPED = 0.002
"""Scores are clipped to this distance from 0 and 1."""

Floats = NDArray[np.float64]


def find_suspicions(
    detections: Sequence[Detections],
    dataset: Dataset,
    hidden: Collection[int] = (),
) -> tuple[Suspicion, ...]:
    """Return the annotations that look wrong, the most certain first, each once.

    Includes images that a person marked as complete; excludes crowd regions.

    Args:
        detections: of the dataset's images, found with `proposals.detection_config`.
        dataset: the annotations.
        hidden: ids of annotations hidden from the model.
    """
    evidence = label_evidence(detections, dataset, hidden)
    if not len(evidence):
        return ()
    by_kind = np.array(list(certainties(evidence).values()))
    kinds = [SUSPICION_KINDS[index] for index in by_kind.argmax(axis=0).tolist()]
    found = [
        _suspicion(evidence, row, kinds[row], certainty)
        for row, certainty in enumerate(by_kind.max(axis=0).tolist())
        if certainty >= LEAST_CERTAINTY
    ]
    return tuple(sorted(found, key=lambda one: (-one.certainty, one.image_id, one.box_id)))


def certainties(evidence: LabelEvidence) -> dict[SuspicionKind, Floats]:
    """Return the certainty that each annotation has each fault, 0 to 1; shape (N,) each.

    In the order of `SUSPICION_KINDS`.
    """
    kinds: dict[SuspicionKind, Callable[[LabelEvidence], Floats]] = {
        "class": _of_class,
        "place": _of_place,
        "double": _of_double,
        "sliver": _of_sliver,
    }
    return {kind: certainty(evidence) for kind, certainty in kinds.items()}


def _of_class(evidence: LabelEvidence) -> Floats:
    """Another class scores higher, relative to the own class, than is usual.

    All classes are compared together: most boxes of a rare class may be wrong.
    """
    doubt = _log_odds(evidence.other) - _log_odds(evidence.own)
    distance = _distance(doubt, evidence.hidden.astype(np.int64), least_spread=1.0)
    return np.where(evidence.other > NO_SCORE, _certainty(distance, middle=3.2, slope=2.0), 0.0)


def _of_place(evidence: LabelEvidence) -> Floats:
    """A certain detection lies elsewhere than is usual for the class, and none on the box."""
    off = np.log(1 - evidence.fit + _EDGE)
    distance = _distance(off, 2 * evidence.category_ids + evidence.hidden, least_spread=0.3)
    weighed = np.maximum(distance, 0) * evidence.fit_score * (1 - evidence.support)
    return _certainty(weighed, middle=1.0, slope=3.0)


def _of_double(evidence: LabelEvidence) -> Floats:
    """Two boxes of a class overlap, and the model sees one object; the one that fits worse is a
    duplicate."""
    rows = np.arange(len(evidence))
    best, twin = evidence.best, evidence.twin
    worse = (best < best[twin]) | ((best == best[twin]) & (rows > twin))
    alike = _certainty(evidence.twin_iou, middle=0.6, slope=12.0)
    return np.where((twin >= 0) & worse, alike * (1 - evidence.apart), 0.0)


def _of_sliver(evidence: LabelEvidence) -> Floats:
    """Unusual shape or size for the class, and the model detects nothing there."""
    sides = np.log(np.maximum(evidence.xyxy[:, 2:] - evidence.xyxy[:, :2], 0.1))
    classes = evidence.category_ids
    shape = np.abs(_distance(sides[:, 0] - sides[:, 1], classes, least_spread=0.3))
    size = np.abs(_distance(sides.sum(axis=1), classes, least_spread=0.5))
    _, index, counts = np.unique(classes, return_inverse=True, return_counts=True)
    few = counts[index] < _ENOUGH
    unusual = _certainty(np.maximum(shape, size), middle=4.5, slope=2.0)
    return np.where(few, 0.0, unusual * (1 - np.sqrt(evidence.best)))


def _distance(values: Floats, groups: NDArray[np.int64], *, least_spread: float) -> Floats:
    """Return each value's distance above its group's median, in robust deviations.

    Args:
        values: shape (N,).
        groups: shape (N,): values of one group are compared with each other.
        least_spread: lower bound of a deviation.
    """
    distances = np.zeros(len(values))
    for group in np.unique(groups):
        own = groups == group
        usual = values[own] if own.sum() >= _ENOUGH else values
        median, quartile = np.quantile(usual, [0.5, 0.75])
        spread = max((quartile - median) / _NORMAL_QUARTILE, least_spread)
        distances[own] = (values[own] - median) / spread
    return distances


def _certainty(values: Floats, *, middle: float, slope: float) -> Floats:
    return np.asarray(1 / (1 + np.exp(-slope * (values - middle))))


def _log_odds(scores: Floats) -> Floats:
    capped = np.clip(scores, _CAPPED, 1 - _CAPPED)
    return np.asarray(np.log(capped / (1 - capped)))


def _suspicion(
    evidence: LabelEvidence, row: int, kind: SuspicionKind, certainty: float
) -> Suspicion:
    box = evidence.boxes[row]
    left, top, right, bottom = evidence.fit_box[row].tolist()
    place: XYXY = (left, top, right, bottom)
    return Suspicion(
        image_id=box.image_id,
        box_id=box_name(box),
        kind=kind,
        certainty=certainty,
        category_id=int(evidence.other_class[row]) if kind == "class" else None,
        xyxy=place if kind == "place" else None,
        twin=box_name(evidence.boxes[evidence.twin[row]]) if kind == "double" else None,
    )
