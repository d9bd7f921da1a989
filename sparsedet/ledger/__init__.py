"""Every mined box ever pushed, and its outcome: one SQLite file per workspace."""

from sparsedet.ledger.counts import OutcomeCounts, RoundCounts
from sparsedet.ledger.ledger import Ledger
from sparsedet.ledger.pushes import as_mined
from sparsedet.ledger.queue import QueueEntry
from sparsedet.ledger.review_json import written_from_json, written_to_json
from sparsedet.ledger.reviewers import ReviewerCounts
from sparsedet.ledger.schema import LedgerBox, Place, Push, QueuedImage, Source
from sparsedet.ledger.stored_reviews import ImageReviews
from sparsedet.ledger.work import DrawnBox, ReviewWork
from sparsedet.tool import Outcome

__all__ = [
    "DrawnBox",
    "ImageReviews",
    "Ledger",
    "LedgerBox",
    "Outcome",
    "OutcomeCounts",
    "Place",
    "Push",
    "QueueEntry",
    "QueuedImage",
    "ReviewWork",
    "ReviewerCounts",
    "RoundCounts",
    "Source",
    "as_mined",
    "written_from_json",
    "written_to_json",
]
