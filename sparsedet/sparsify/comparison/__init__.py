"""What a sparse file lacks against its full file, and which removal rules explain it."""

from sparsedet.sparsify.comparison.boxes import Boxes
from sparsedet.sparsify.comparison.comparison import Comparison, Section, compare
from sparsedet.sparsify.comparison.readings import AbsentImages
from sparsedet.sparsify.comparison.verdicts import Verdict

__all__ = ["AbsentImages", "Boxes", "Comparison", "Section", "Verdict", "compare"]
