"""Candidates of which people know what they are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsedet.mining.candidates import Candidates


@dataclass(frozen=True)
class Judged:
    """Candidates of which people know what they are."""

    candidates: Candidates
    right: NDArray[np.bool_]
    """An object of the candidate's class is there, and the candidate is the best on it."""
    on_object: NDArray[np.bool_]
    """The same, whatever the object's class."""
    not_right_alone: NDArray[np.bool_] | None = None
    """Of these, which are not right, is all that is known: whether they show an object of another
    class is not. None: of none."""

    @property
    def known(self) -> "Judged":
        """Those of which it is known whether they show an object of any class."""
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
    """Return that nothing is known of a model's candidates."""
    none = np.zeros(0, dtype=bool)
    return Judged(candidates.select(np.zeros(0, dtype=int)), none, none)
