"""Export the ledger as a table for spreadsheets and scripts."""

import csv
from collections.abc import Iterable
from pathlib import Path

from sparsedet.atomic_io import atomic_path
from sparsedet.ledger.schema import LedgerBox

PUSH_COLUMNS = ("tool", "url", "project", "review_project", "mode", "model_version")
BOX_COLUMNS = (
    "region_id",
    "round",
    "image_tool_id",
    "file_name",
    "category",
    "left",
    "top",
    "right",
    "bottom",
    "score",
    "threshold",
    "source_version",
    "outcome",
    "final_category",
    "final_left",
    "final_top",
    "final_right",
    "final_bottom",
    "reviewer",
    "review_id",
    "seconds",
    "in_source",
)

LATER_COLUMNS = ("image_width", "image_height", "expected_precision")
"""Columns of boxes; new ones go last, so that scripts that count columns still work."""

_STARTS_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csv(boxes: Iterable[LedgerBox], path: Path) -> int:
    """Write one row per mined box, with a header, as RFC 4180 CSV (UTF-8, CRLF), atomically.

    Coordinates are absolute pixels of the upright image. Text that a spreadsheet would run as a
    formula is prefixed with an apostrophe.

    Returns:
        The number of boxes.
    """
    rows = [
        [
            *(_cell(getattr(box, name)) for name in BOX_COLUMNS),
            *(_cell(getattr(box.push, name)) for name in PUSH_COLUMNS),
            *(_cell(getattr(box, name)) for name in LATER_COLUMNS),
        ]
        for box in boxes
    ]
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((*BOX_COLUMNS, *PUSH_COLUMNS, *LATER_COLUMNS))
        writer.writerows(rows)
    return len(rows)


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    # File names and labels come from a server: nothing in them may run as code in a spreadsheet.
    return f"'{value}" if isinstance(value, str) and value.startswith(_STARTS_FORMULA) else value
