"""Boxes that are up in the place of another push mode than the one that pushes now."""

from dataclasses import replace

from sparsedet.annotations import Dataset
from sparsedet.loop.pushing import Pusher, UpForReview
from sparsedet.push_modes import ModeName


def clear_elsewhere(
    pusher: Pusher,
    dataset: Dataset,
    wanted: UpForReview,
    *,
    model_version: str,
    dry_run: bool = False,
) -> int:
    """Take boxes down in other modes' places, where a push replaces them or shows them itself.

    It comes before the push, whose record has those pending again that are to be up. Drafts are
    left alone: they are refused next to anything else.

    Args:
        pusher: pushes next.
        dataset: the images of the boxes.
        wanted: what it pushes.
        model_version: of the push.
        dry_run: only count.

    Returns:
        The number of outdated predictions and tasks that were deleted.
    """
    if pusher.mode == "draft":
        return 0
    concerned = wanted.withdrawn | {box.region_id for box in wanted.boxes}
    up = [
        box
        for box in pusher.ledger.boxes()
        if box.region_id in concerned
        and box.outcome == "pending"
        and not box.is_reviewed
        and not box.push.gone
        and box.push.project == pusher.source.project
    ]
    modes: tuple[ModeName, ...] = ("review-project", "sheets")
    deleted = 0
    for mode in modes:
        ids = frozenset(box.region_id for box in up if box.push.mode == mode)
        if ids and mode != pusher.mode:
            report, _ = replace(pusher, mode=mode).push(
                dataset, UpForReview((), ids), model_version=model_version, dry_run=dry_run
            )
            deleted += report.deleted
    return deleted
