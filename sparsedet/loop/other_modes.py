"""Boxes up for review in a push mode other than the current one."""

from dataclasses import replace

from sparsedet.annotations import Dataset
from sparsedet.loop.pushing import Pusher, UpForReview
from sparsedet.push_modes import ModeName


def clear_other_modes(
    pusher: Pusher,
    dataset: Dataset,
    wanted: UpForReview,
    *,
    model_version: str,
    dry_run: bool = False,
) -> int:
    """Withdraw boxes from other modes' places if this push replaces or shows them itself.

    Runs before the push, whose record sets the boxes it shows to pending again. Drafts are left
    alone: they can't be combined with another mode.

    Args:
        pusher: the pusher of the next push.
        dataset: the images of the boxes.
        wanted: what it will push.
        model_version: the model version of the push.
        dry_run: only count.

    Returns:
        The number of deleted predictions and tasks.
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
