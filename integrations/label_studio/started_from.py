"""Which prediction an annotation started from: its boxes that are missing were deleted."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .annotation_choice import results_of
from .predictions import StoredPrediction, mined_regions
from .results import stored_id


def started_from(
    annotation: Mapping[str, Any],
    annotations: Iterable[Mapping[str, Any]],
    predictions: Iterable[StoredPrediction],
) -> StoredPrediction | None:
    """Return the prediction that an annotation started from; None without one, or if unknown.

    A duplicate of another annotation started from that one's. The link to the prediction is lost if
    a person leaves the task and later resumes from the saved draft, which the editor does without
    it, or if somebody deletes the prediction, of which the server keeps a copy in the annotation:
    then the ids of regions show it, unless all of them were deleted.

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
    possible = known if annotation.get("draft_created_at") is not None else []
    possible = [*possible, *_deleted(annotation, known)]
    results = results_of(annotation)
    ids = {id for id in map(stored_id, results) if id is not None}
    # A pasted copy of a mined box has a score, too, but an id of its own. If no box with a score is
    # of the prediction, it has replaced the one that the person had open.
    mined = mined_regions(r for r in results if isinstance(r, Mapping)).keys()
    fitting = (
        p
        for p in possible
        if not p.by_backend and ids & p.region_ids and (not mined or mined & p.region_ids)
    )
    return max(fitting, key=lambda p: (len(ids & p.region_ids), p.id), default=None)


def _deleted(
    annotation: Mapping[str, Any], known: Iterable[StoredPrediction]
) -> list[StoredPrediction]:
    """Return the prediction that was up when the annotation was created, if it is gone."""
    copy = annotation.get("prediction")
    if not isinstance(copy, Mapping) or not isinstance(id := copy.get("id"), int):
        return []
    results = copy.get("result")
    if not isinstance(results, Sequence) or any(p.id == id for p in known):
        return []
    regions = [r for r in results if isinstance(r, Mapping)]
    version = str(copy.get("model_version", ""))
    return [StoredPrediction.of(id, version, regions, copy.get("model") is not None)]
