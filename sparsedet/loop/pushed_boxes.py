"""Which mined boxes a round put up for review, by its files.

What the ledger must have of a round, and what a rebuilt one is given, derives from this.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sparsedet.annotations import Dataset
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.loop.lot_file import read_lots
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.loop.round_report import pushed_parts
from sparsedet.loop.round_sheets import stored_sheets


def pushed_boxes(
    folder: RoundFolder, record: Mapping[str, Any], dataset: Dataset, mined: Sequence[MinedBox]
) -> list[tuple[Mapping[str, Any], list[MinedBox]]]:
    """Return the record of each push of a round with its boxes, without those that lots hold.

    These are not all mined boxes: a budget may leave out images or contact sheets, the blind sample
    shows none, and images may have been skipped.

    Args:
        folder: the pushed round.
        record: its `push.json`.
        dataset: its initial annotations.
        mined: all its mined boxes.

    Raises:
        SparseDetError: when the file of its contact sheets or lots is broken.
    """
    tool_ids = {image.id: image.tool_id for image in dataset.images}
    not_up = frozenset(record.get("left_out") or ()).union(*(lot.rest for lot in read_lots(folder)))
    on_sheets = _on_sheets(folder)
    opened = opened_images(record)
    every_image = _shows_every_image(folder, record)
    parts = []
    for part in pushed_parts(record):
        for_sheets = _mode(part) == "sheets"
        # Skipped images were part of the push; the next one looks for them again.
        skipped = part.get("skipped") or ()
        boxes = [
            box
            for box in mined
            if box.region_id not in not_up
            and (box.region_id in on_sheets) == for_sheets
            and (for_sheets or every_image or tool_ids[box.image_id] in opened)
            and tool_ids[box.image_id] not in skipped
        ]
        parts.append((part, boxes))
    return parts


def opened_images(record: Mapping[str, Any]) -> set[str]:
    """Return the tool ids of the images that a round queued with their mined boxes."""
    return {
        str(entry["image_tool_id"]) for entry in record.get("queue") or () if not entry.get("audit")
    }


def _shows_every_image(folder: RoundFolder, record: Mapping[str, Any]) -> bool:
    """Return whether a round without a queue shows the boxes of all its images.

    Drafts and contact sheets alone have no queue, nor do rounds of older versions, which have no
    candidates either. Other rounds may have queued nothing.
    """
    if record.get("queue"):
        return False
    return _mode(record) in ("draft", "sheets") or not folder.candidates.exists()


def _mode(part: Mapping[str, Any]) -> str | None:
    """Return how the boxes of a push are reviewed; older rounds don't say, and have no sheets."""
    return (part.get("place") or {}).get("mode")


def _on_sheets(folder: RoundFolder) -> frozenset[str]:
    """Return the region ids of a round's boxes on contact sheets."""
    sheets = stored_sheets(folder) if folder.sheets.exists() else ()
    return frozenset(crop.region_id for sheet in sheets for crop in sheet.crops)
