"""How well a ranking finds planted faults: the area under its precision-recall curve."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .spoiling import SHARES, Spoiled

ALL = "all"


@dataclass
class Scores:
    """How suspicious each box is, by id; larger is more suspicious."""

    kinds: dict[str, dict[int, float]] = field(default_factory=dict)
    """Kind of fault -> scores of boxes for it; missing ones have none."""
    total: dict[int, float] = field(default_factory=dict)

    def add(self, id: int, kinds: Mapping[str, float], total: float) -> None:
        """Record the scores of a box."""
        for kind, score in kinds.items():
            self.kinds.setdefault(kind, {})[id] = float(score)
        self.total[id] = float(total)


def areas(spoiled: Spoiled, scores: Scores) -> dict[str, float]:
    """Return the area, 0 to 100, for each kind of fault and for all together.

    For a single kind, boxes with other faults are ignored. A kind unknown to the ranking is ranked
    by the total. Of a box and its copy, the more suspicious one counts: it is enough to show one of
    them.
    """
    result = {}
    for kind in (*SHARES, ALL):
        own = scores.total if kind == ALL else scores.kinds.get(kind, scores.total)
        best: dict[int, float] = {}
        wrong: dict[int, bool] = {}
        for box in spoiled.dataset.boxes:
            if box.iscrowd:
                continue
            fault = spoiled.faults.get(box.id)
            if kind != ALL and fault not in (None, kind):
                continue
            id = spoiled.twins.get(box.id, box.id)
            best[id] = max(best.get(id, 0.0), own.get(box.id, 0.0))
            wrong[id] = fault is not None
        values = np.array([best[id] for id in best])
        result[kind] = 100 * average_precision(values, np.array([wrong[id] for id in best]))
    return result


def average_precision(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Return the area under the precision-recall curve; equal scores are found together."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    last = np.append(np.diff(scores[order]) != 0, True)
    hits, count = hits[last], np.flatnonzero(last) + 1
    gained = np.diff(hits, prepend=0) / max(int(right.sum()), 1)
    return float((gained * hits / count).sum())
