"""Csv files as tables: delimiter, header, and rows with their line numbers."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from sparsedet.errors import AnnotationError

from .file_kinds import head_of

_HEADER = 4096
_DELIMITERS = ",;\t"


def first_row(file: Path) -> list[str]:
    """Return the cells of the first line."""
    line = head_of(file, _HEADER).decode("utf-8-sig", "replace").lstrip().splitlines()[:1]
    return next(csv.reader(line, delimiter=_delimiter(file)), [])


def lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the non-empty rows of a csv file with their line numbers.

    Raises:
        AnnotationError: if it is not UTF-8 text, or no csv.
    """
    try:
        delimiter = _delimiter(file)
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.reader(opened, delimiter=delimiter)
            yield from ((reader.line_num, row) for row in reader if any(row))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise AnnotationError(f"{file}: can't be read as CSV ({reason})") from error


def rows(file: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield the rows below the header as column -> cell, with their line numbers."""
    found = lines(file)
    header = [name.strip() for name in next(found, (1, []))[1]]
    for line, row in found:
        # A truncated row lacks numbers.
        yield line, dict(zip(header, row + [""] * (len(header) - len(row)), strict=False))


def _delimiter(file: Path) -> str:
    """Return the delimiter that is most frequent in the first line."""
    line = head_of(file, _HEADER).lstrip().partition(b"\n")[0].decode("utf-8-sig", "replace")
    return max(_DELIMITERS, key=line.count)
