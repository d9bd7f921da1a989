"""Inspect a dataset: its content, all of its faults at once, and a repaired copy."""

from sparsedet.inspection.figures import Figures, figures
from sparsedet.inspection.inspection import Inspection, Part, inspect_data
from sparsedet.inspection.repaired_copy import write_copy

__all__ = ["Figures", "Inspection", "Part", "figures", "inspect_data", "write_copy"]
