"""Every mined box ever pushed, and what became of it: one SQLite file per workspace."""

from sparsedet.ledger.ledger import Ledger
from sparsedet.ledger.outcomes import OutcomeCounts, RoundCounts, judge
from sparsedet.ledger.schema import LedgerBox, Place, Push
from sparsedet.tool import Outcome

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
