"""What a sparse file lacks against its full file, and which recipes explain it."""

from sparsedet.comparison.comparison import AbsentImages, Comparison, Section, compare
from sparsedet.comparison.explanations import Explanation
from sparsedet.comparison.pairing import Boxes

__all__ = ["AbsentImages", "Boxes", "Comparison", "Explanation", "Section", "compare"]
