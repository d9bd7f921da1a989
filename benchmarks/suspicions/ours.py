"""The ranking of sparsedet."""

from collections.abc import Sequence

from sparsedet.annotations import Dataset
from sparsedet.completeness.label_evidence import label_evidence
from sparsedet.completeness.suspicions import certainties
from sparsedet.mining.detections import Detections

from .figures import Scores
from .spoiling import SHARES


def ours(dataset: Dataset, detections: Sequence[Detections]) -> Scores:
    """Return sparsedet's certainty that each box is wrong."""
    evidence = label_evidence(detections, dataset)
    by_kind = certainties(evidence)
    scores = Scores()
    for row, box in enumerate(evidence.boxes):
        own = {kind: float(values[row]) for kind, values in by_kind.items()}
        kinds = {kind: value for kind, value in own.items() if kind in SHARES}
        scores.add(box.id, kinds, max(own.values()))
    return scores
