"""Compare a sparse file with its full file: what it lacks, and which recipes explain it."""

from sparsedet.comparison.comparison import AbsentImages, Comparison, Section, compare
from sparsedet.comparison.explanations import Explanation
from sparsedet.comparison.pairing import Boxes

__all__ = ["AbsentImages", "Boxes", "Comparison", "Explanation", "Section", "compare"]
