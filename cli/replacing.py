"""Files that a command writes where it is told to: over an older one of its kind, and no other."""

from pathlib import Path

from sparsedet.errors import SparseDetError

_HEAD = 500
"""Bytes of a file that show of which kind it is."""

COMPARISON = (b'<meta name="generator" content="sparsedet compare">', "page of sparsedet compare")
REPORT = (b'<meta name="generator" content="sparsedet report">', "page of sparsedet report")
MINED = (b'"region_id"', "list of mined boxes")
OUTCOMES = (b'"accepted"', "outcome of reviews")
CSV = (b"region_id,", "table of mined boxes")

_EMPTY_LIST = b"[]"
"""What is left of mined boxes where nothing was mined."""


def check_replaceable(path: Path, kind: tuple[bytes, str], option: str = "-o") -> None:
    """Refuse to write over anything but an older file of the same kind.

    Args:
        path: what is to be written.
        kind: what the beginning of such a file holds, and what it is, in words.
        option: by which the path was given.

    Raises:
        SparseDetError: saying what is there.
    """
    mark, name = kind
    if path.is_dir():
        raise SparseDetError(f"{path}: is a folder; name the file to write with {option}")
    if not path.exists():
        return
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if mark not in head and not (kind == MINED and head.strip() == _EMPTY_LIST):
        raise SparseDetError(
            f"{path}: exists already and is no {name}; it is left as it is, name another one with "
            f"{option}"
        )
