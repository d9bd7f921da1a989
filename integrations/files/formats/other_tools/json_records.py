"""Records of JSON files: a dataset is one of them, or a folder with one per split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparsedet.annotations.faults import LABELS_BROKEN, Faults
from sparsedet.errors import AnnotationError

from .file_kinds import JsonKind, json_files
from .records import Record


@dataclass(frozen=True, slots=True)
class JsonRecords:
    """The records of a dataset's files."""

    root: Path
    """The dataset's folder."""
    files: Sequence[Path]
    records: Sequence[Record]


def json_records(
    path: Path,
    kind: JsonKind,
    expected: str,
    faults: Faults,
    read: Callable[[Path, Path, Faults], Sequence[Record]],
) -> JsonRecords:
    """Read the files of a tool.

    Args:
        path: a file, or a folder with some.
        kind: the tool.
        expected: what such a file is, for errors.
        faults: records unreadable files.
        read: reads a file, given the dataset's folder, the file and `faults`.

    Raises:
        AnnotationError: if the tool has written none of the files.
    """
    files = json_files(path, kind)
    if not files:
        raise AnnotationError(f"{path}: not {expected}")
    root = path.parent if path.is_file() else path
    records: list[Record] = []
    for file in files:
        with faults.left_out(LABELS_BROKEN, file.name):
            records += read(root, file, faults)
    return JsonRecords(root, files, records)
