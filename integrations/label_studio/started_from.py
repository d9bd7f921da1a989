"""Which prediction an annotation started from: its boxes that are missing were deleted."""

from collections.abc import Iterable, Mapping
from typing import Any

from .annotation_choice import results_of
from .predictions import StoredPrediction, mined_regions
from .results import stored_id


def started_from(
    annotation: Mapping[str, Any],
    annotations: Iterable[Mapping[str, Any]],
    predictions: Iterable[StoredPrediction],
) -> StoredPrediction | None:
    """Return the prediction that an annotation started from; None without one, or if it is gone.

    A duplicate of another annotation started from that one's. The editor forgets the prediction if
    a person leaves the task and later resumes from the saved draft: then the ids of its regions
    show it, unless all of them were deleted.

    Args:
        annotation: as sent by the server.
        annotations: all of its task.
        predictions: of its task, oldest first.
    """
    known, others = list(predictions), list(annotations)
    source: Mapping[str, Any] | None = annotation
    while source is not None and source.get("parent_prediction") is None:
        copied = source.get("parent_annotation")
        source = next((a for a in others if a["id"] == copied), None)
        # So that a circle of duplicates ends.
        others = [a for a in others if a is not source]
    if source is not None:
        return next((p for p in known if p.id == source["parent_prediction"]), None)
    if annotation.get("draft_created_at") is None:
        return None
    results = results_of(annotation)
    ids = {id for id in map(stored_id, results) if id is not None}
    mined = mined_regions(results).keys()
    fitting = (
        p for p in known if not p.by_backend and ids & p.region_ids and mined <= p.region_ids
    )
    return max(fitting, key=lambda p: (len(ids & p.region_ids), p.id), default=None)
