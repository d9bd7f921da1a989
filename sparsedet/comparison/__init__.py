"""What a sparse file lacks against its full file, and which removal rules explain it."""

from sparsedet.comparison.comparison import AbsentImages, Comparison, Section, compare
from sparsedet.comparison.explanations import Verdict
from sparsedet.comparison.pairing import Boxes

__all__ = ["AbsentImages", "Boxes", "Comparison", "Section", "Verdict", "compare"]
