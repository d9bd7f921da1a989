"""What a sparse file lacks against its full file, and which removal rules explain it."""

from sparsedet.comparison.boxes import Boxes
from sparsedet.comparison.comparison import Comparison, Section, compare
from sparsedet.comparison.explanations import Verdict
from sparsedet.comparison.readings import AbsentImages

__all__ = ["AbsentImages", "Boxes", "Comparison", "Section", "Verdict", "compare"]
