"""Which annotations of a folder count if there are several kinds."""

from pathlib import Path

from ..coco_layout import find_parts
from ..voc_layout import find_voc
from ..yolo_layout import is_yolo
from .file_kinds import first_files, json_kind


def has_better(folder: Path, but: str = "") -> bool:
    """Whether a folder has annotations of a common format, or of a tool.

    Other files next to them are often conversions of the same boxes.

    Args:
        folder: the folder.
        but: a kind of JSON files that does not count.
    """
    if is_yolo(folder) or find_voc(folder) is not None or find_parts(folder):
        return True
    return any(json_kind(file) not in (None, but) for file in first_files(folder, ".json"))
