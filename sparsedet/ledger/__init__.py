"""Every mined box ever pushed, and what became of it: one SQLite file per workspace."""

from sparsedet.ledger.ledger import Ledger, as_mined
from sparsedet.ledger.outcomes import OutcomeCounts, RoundCounts
from sparsedet.ledger.review_json import written_from_json, written_to_json
from sparsedet.ledger.reviewers import ReviewerCounts
from sparsedet.ledger.schema import LedgerBox, Place, Push, Source
from sparsedet.ledger.stored_reviews import ImageReviews
from sparsedet.tool import Outcome

__all__ = [
    "ImageReviews",
    "Ledger",
    "LedgerBox",
    "Outcome",
    "OutcomeCounts",
    "Place",
    "Push",
    "ReviewerCounts",
    "RoundCounts",
    "Source",
    "as_mined",
    "written_from_json",
    "written_to_json",
]
