"""What a dataset is, and everything that is wrong with it at once; a repaired copy of it."""

from sparsedet.inspection.figures import Figures, figures
from sparsedet.inspection.inspection import Inspection, Part, inspect_data
from sparsedet.inspection.repaired_copy import write_copy

__all__ = ["Figures", "Inspection", "Part", "figures", "inspect_data", "write_copy"]
