"""Candidates with known truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsedet.mining.candidates import Candidates


@dataclass(frozen=True)
class Judged:
    """Candidates with known truth."""

    candidates: Candidates
    right: NDArray[np.bool_]
    """Whether an object of the candidate's class is there, and the candidate is the best on it."""
    on_object: NDArray[np.bool_]
    """The same for an object of any class."""
    not_right_alone: NDArray[np.bool_] | None = None
    """Those that are only known to be wrong for their class: they may show an object of another
    class. None: there are none."""

    @property
    def known(self) -> "Judged":
        """Candidates of which it is known whether they show an object of any class."""
        sure = ~self._alone
        return Judged(self.candidates.select(sure), self.right[sure], self.on_object[sure])

    @property
    def not_right(self) -> Candidates:
        """The others."""
        return self.candidates.select(self._alone)

    @property
    def _alone(self) -> NDArray[np.bool_]:
        none = np.zeros(len(self.candidates), dtype=bool)
        return none if self.not_right_alone is None else self.not_right_alone


def nothing_judged(candidates: Candidates) -> Judged:
    """Return an empty record for a model's candidates."""
    none = np.zeros(0, dtype=bool)
    return Judged(candidates.select(np.zeros(0, dtype=int)), none, none)
