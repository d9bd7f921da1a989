"""Reviews: the one place that turns reviews into verdicts, and verdicts into changes.

Training, the ledger and every merge use this package, so they can't disagree. Its functions are
pure: adapters read `Review` and `SourceState`, and write `Changes`.
"""

from sparsedet.reviews.changes import (
    NOTHING_WRITTEN,
    Changes,
    Written,
    after,
    as_written,
    changes,
    kept_by_source,
)
from sparsedet.reviews.model import (
    MOVED_PIXELS,
    AnnotationRule,
    Origin,
    Review,
    ReviewedRegion,
    SourceState,
    moved,
    review_seconds,
    same_box,
    same_shape,
    scaled,
)
from sparsedet.reviews.verdicts import Decision, Verdict, choose, combine, decide, effective

__all__ = [
    "MOVED_PIXELS",
    "NOTHING_WRITTEN",
    "AnnotationRule",
    "Changes",
    "Decision",
    "Origin",
    "Review",
    "ReviewedRegion",
    "SourceState",
    "Verdict",
    "Written",
    "after",
    "as_written",
    "changes",
    "choose",
    "combine",
    "decide",
    "effective",
    "kept_by_source",
    "moved",
    "review_seconds",
    "same_box",
    "same_shape",
    "scaled",
]
