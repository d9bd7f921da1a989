"""The contact sheets of a push: arranged once, drawn, and stored with the round."""

from collections.abc import Collection, Iterable
from pathlib import Path

from sparsedet.annotations import Dataset
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.atomic_io import read_json, write_json
from sparsedet.errors import SparseDetError
from sparsedet.ledger import Ledger
from sparsedet.loop.pushing import UpForReview
from sparsedet.loop.round_folder import RoundFolder
from sparsedet.push_modes import Progress
from sparsedet.sheets import Sheet, SheetFile
from sparsedet.sheets.arrangement import arrange
from sparsedet.sheets.drawing import draw_sheets, drawable
from sparsedet.sheets.layout import sheet_from_json


def round_sheets(
    folder: RoundFolder, boxes: Iterable[MinedBox], dataset: Dataset, images: Path
) -> tuple[Sheet, ...]:
    """Return the sheets of a round, arranged at the first call.

    A repeated push uses the same sheets, whatever was reviewed meanwhile. Boxes on unreadable
    images are left out: submitting a sheet would accept them unseen.
    """
    if not folder.sheets.exists():
        sheets = arrange(drawable(boxes, dataset, images), dataset)
        write_json(folder.sheets, {"sheets": [sheet.to_json() for sheet in sheets]})
    return stored_sheets(folder)


def stored_sheets(folder: RoundFolder) -> tuple[Sheet, ...]:
    """Return the stored sheets of a round.

    Raises:
        SparseDetError: when the file is invalid.
    """
    content = read_json(folder.sheets)
    if not isinstance(content, dict) or not isinstance(content.get("sheets"), list):
        raise SparseDetError(f"{folder.sheets}: not a list of contact sheets; remove it")
    return tuple(sheet_from_json(entry, str(folder.sheets)) for entry in content["sheets"])


def pictures_of(
    sheets: Collection[Sheet], dataset: Dataset, images: Path, folder: Path, progress: Progress
) -> list[SheetFile]:
    """Draw sheets into a folder; see `draw_sheets`."""
    what = "drawing contact sheets"

    def on_sheet(done: int) -> None:
        progress(what, done, len(sheets))

    return draw_sheets(sheets, dataset, images, folder, on_sheet)


def split_up(
    wanted: UpForReview, on_sheets: Collection[str], ledger: Ledger
) -> tuple[UpForReview, UpForReview]:
    """Return the boxes for images, and those for contact sheets.

    A box left undecided on a sheet moves to its image, which gives the missing context. A withdrawn
    box is taken down where it is up; held boxes, and those of a deleted place, are up nowhere.

    Args:
        wanted: all boxes to show.
        on_sheets: region ids of the boxes for contact sheets.
        ledger: which boxes were reviewed, and where they are up.
    """
    rows = {box.region_id: box for box in ledger.boxes()}
    sheets = {
        box.region_id
        for box in wanted.boxes
        if box.region_id in on_sheets
        and not (box.region_id in rows and rows[box.region_id].is_reviewed)
    }
    up = frozenset(id for id in wanted.withdrawn if not (rows[id].is_held or rows[id].push.gone))
    down = frozenset(id for id in up if rows[id].push.mode == "sheets")
    return (
        UpForReview(tuple(b for b in wanted.boxes if b.region_id not in sheets), up - down),
        UpForReview(tuple(b for b in wanted.boxes if b.region_id in sheets), down),
    )
