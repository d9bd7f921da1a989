"""Every mined box ever pushed, and what became of it: one SQLite file per workspace."""

from sparsedet.ledger.ledger import Ledger
from sparsedet.ledger.outcomes import OutcomeCounts, RoundCounts, judge
from sparsedet.ledger.schema import LedgerBox, Outcome, Place, Push

__all__ = [
    "Ledger",
    "LedgerBox",
    "Outcome",
    "OutcomeCounts",
    "Place",
    "Push",
    "RoundCounts",
    "judge",
]
