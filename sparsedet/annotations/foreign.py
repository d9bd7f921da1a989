"""Unsupported formats of other tools, recognised for better error messages."""

import re
from pathlib import Path

_HEADER = 4096
"""Number of leading bytes to look at."""
_SHOWN_FILES = 20
"""Maximum number of files per folder to look at."""

_ADVICE = "export the data as COCO, Pascal VOC, YOLO or CVAT XML"
_MARKS = (
    (".json", rb'"annotation_result"|"_via_', "VIA's JSON"),
    (".csv", rb"^ImageID,.*LabelName", "Open Images' labels of whole images (--image-labels)"),
    (".csv", rb"(?i)(xmin|x_min|x1).*(ymin|y_min|y1)", "a csv of boxes"),
)
"""Suffix, pattern near the beginning, and name of the format."""


def foreign_format(path: Path) -> str | None:
    """Return what a file or folder seems to be, and what to do; None if unknown."""
    if path.is_dir():
        files = sorted(entry for entry in path.iterdir() if entry.is_file())[:_SHOWN_FILES]
    else:
        files = [path]
    for file in files:
        with file.open("rb") as opened:
            head = opened.read(_HEADER)
        for suffix, mark, name in _MARKS:
            if file.suffix.lower() == suffix and re.search(mark, head, re.MULTILINE):
                return f"looks like {name}, which is not supported; {_ADVICE}"
    return None
