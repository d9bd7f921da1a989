"""Push the boxes of a `mined.json`, outside of a round."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from sparsedet.annotations import Dataset, read_coco
from sparsedet.annotations.mined_boxes import MinedBox, meta_path, read_mined
from sparsedet.atomic_io import read_json
from sparsedet.errors import SparseDetError
from sparsedet.loop.lots import collect_and_settle
from sparsedet.loop.other_modes import clear_other_modes
from sparsedet.loop.pushing import Pusher, UpForReview, up_for_review
from sparsedet.loop.reviews import Say
from sparsedet.loop.round_sheets import pictures_of
from sparsedet.loop.workspace import Workspace
from sparsedet.push_modes import PushReport
from sparsedet.sheets.arrangement import arrange
from sparsedet.sheets.drawing import drawable
from sparsedet.wording import counted, first_of


def push_file(
    pusher: Pusher,
    mined: Path,
    annotations: Path,
    *,
    workspace: Workspace | None,
    model_version: str | None = None,
    take_over: bool = False,
    dry_run: bool = False,
) -> tuple[PushReport, int]:
    """Push the boxes of a file, after collecting reviews.

    Args:
        pusher: pushes and records them.
        mined: the `mined.json`.
        annotations: the COCO file that was mined on, with the annotation tool's ids.
        workspace: the workspace of the pusher's ledger; None for a ledger without one.
        model_version: shown for the boxes; None: the id of the run that mined them.
        take_over: take the project over from another workspace or push mode.
        dry_run: only count.

    Returns:
        The result, and the number of boxes that were never pushed before.

    Raises:
        SparseDetError: for `take_over` in a dry run, among others.
    """
    ledger, mode = pusher.ledger, pusher.mode
    dataset = read_coco(annotations)
    boxes = read_mined(mined, dataset)
    version = model_version or _default_version(mined, (box.region_id for box in boxes))
    if not dry_run:
        pusher.tool.push_modes[mode].prepare(pusher.source.project, take_over=take_over)
    elif take_over:
        raise SparseDetError("--dry-run changes nothing, so it can't take a project over")
    # Boxes reviewed in the meantime must not be replaced.
    collect_and_settle(
        workspace,
        ledger,
        pusher.connections,
        pusher.source.annotations,
        say=pusher.say,
        progress=pusher.progress,
    )
    wanted = up_for_review(ledger, dataset, boxes, version)
    sheets = []
    if mode == "sheets":
        boxes, wanted = _that_can_be_drawn(boxes, wanted, dataset, pusher.images, pusher.say)
        # From all boxes, not only unreviewed ones, so that a repeated push makes the same sheets.
        mined_now = {box.region_id for box in boxes}
        older = [box for box in wanted.boxes if box.region_id not in mined_now]
        layouts = [*arrange(boxes, dataset), *arrange(older, dataset)]
        folder = ledger.path.parent / "sheets"
        sheets = pictures_of(layouts, dataset, pusher.images, folder, pusher.progress)
    deleted = clear_other_modes(pusher, dataset, wanted, model_version=version, dry_run=dry_run)
    report, new = pusher.push(
        dataset, wanted, model_version=version, sheets=sheets, dry_run=dry_run
    )
    return replace(report, deleted=report.deleted + deleted), new


def _that_can_be_drawn(
    boxes: Sequence[MinedBox], wanted: UpForReview, dataset: Dataset, images: Path, say: Say
) -> tuple[tuple[MinedBox, ...], UpForReview]:
    """Leave out, or withdraw, boxes on unreadable images.

    Their crops would be empty, and submitting the sheet would accept them unseen.
    """
    every = {box.region_id: box for box in (*boxes, *wanted.boxes)}
    blank = every.keys() - {b.region_id for b in drawable(every.values(), dataset, images)}
    if blank:
        files = {dataset.image_by_id[every[id].image_id].file_name for id in blank}
        say(
            f"{counted(len(blank), 'mined box')} on unreadable images left out "
            f"({first_of(sorted(files))}); pull again to repair them"
        )
    left = tuple(box for box in boxes if box.region_id not in blank)
    shown = tuple(box for box in wanted.boxes if box.region_id not in blank)
    return left, UpForReview(shown, wanted.withdrawn | blank)


def _default_version(mined: Path, region_ids: Iterable[str]) -> str:
    """Return the id of the run that mined the boxes, or a name derived from the boxes."""
    meta = read_json(meta_path(mined)) if meta_path(mined).exists() else {}
    if isinstance(meta, dict) and meta.get("run_id"):
        return str(meta["run_id"])
    return "mined-" + hashlib.sha256("|".join(sorted(region_ids)).encode()).hexdigest()[:12]
