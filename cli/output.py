"""Output: JSON, text and progress, and checks before overwriting files.

rich is imported only when something is drawn, so that `--help` stays instant.
"""

import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import typer

from sparsedet.errors import SparseDetError
from sparsedet.runtime.launched import is_first_launched
from sparsedet.runtime.visible_text import one_line

_NO_BREAK = "\N{NO-BREAK SPACE}"
_HEAD = 500
"""Leading bytes of a file to identify its kind."""

COMPARISON = (b'<meta name="generator" content="sparsedet compare">', "page of sparsedet compare")
REPORT = (b'<meta name="generator" content="sparsedet report">', "page of sparsedet report")
_LONGEST_ERROR = 500
_END_OF_ERROR = 200
"""Characters."""
ENDED_BY_INTERRUPT = 130
"""Exit status, as used by shells."""

MINED = (b'"region_id"', "list of mined boxes")
REVIEWED = (b'"accepted"', "file of review outcomes")
RESULTS = (b'[{"image_id"', "list of COCO results of sparsedet predict")
CSV = (b"region_id,", "table of mined boxes")

_EMPTY_LIST = b"[]"
"""A file of mined boxes, or of results, if nothing was found."""


_messages: Callable[[str], None] | None = None
"""Receives messages while something is drawn on the terminal."""


def route_messages(taker: Callable[[str], None] | None) -> None:
    """Route messages of `say` to `taker`; None routes them to stderr."""
    global _messages
    _messages = taker


def emit_json(value: Mapping[str, Any]) -> None:
    """Print the one JSON object of a `--json` call."""
    if is_first_launched():
        # DEL is the only control character that json.dumps leaves unescaped.
        typer.echo(json.dumps(value).replace("\x7f", "\\u007f"))


def say(text: str) -> None:
    """Print a message on stderr, since stdout is for results."""
    if _messages is not None:
        _messages(text)
    else:
        echo(text, err=True)


def echo(text: str, *, err: bool = False) -> None:
    """Print a message, in the first of several launched processes only."""
    _print(fitted(text, err=err), err=err)


def fitted(text: str, *, err: bool = False) -> str:
    """Return a message as printed: wrapped at words on a terminal."""
    return wrapped(text, _columns(sys.stderr if err else sys.stdout))


def _columns(stream: TextIO) -> int | None:
    """Return the width of a stream's terminal; None if it has none, or does not know."""
    if not stream.isatty():
        return None
    # Some terminals don't know their width and report 0.
    return os.get_terminal_size(stream.fileno()).columns or None


def _print(text: str, *, err: bool = False) -> None:
    if is_first_launched():
        typer.echo(text, err=err)


def line(text: str = "") -> None:
    """Print a line on stdout without wrapping, for table rows and headings."""
    _print(one_line(text))


def wrapped(text: str, columns: int | None) -> str:
    """Wrap a message at words.

    Longer words such as links stay whole, and so do commands, so that they can be copied.

    Args:
        text: the message; made one line first, see `one_line`.
        columns: the terminal's width; None (no terminal) keeps one line.
    """
    first, *words = one_line(text).split(" ")
    lines = [first]
    for word in words:
        longer = f"{lines[-1]} {word}"
        if columns is not None and lines[-1].strip() and _width(longer) > columns:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines).replace(_NO_BREAK, " ")


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def shortened(message: str) -> str:
    """Shorten an error to a readable length.

    The middle is cut, where errors quote the input: they begin with the location and end with what
    to do.
    """
    if len(message) <= _LONGEST_ERROR:
        return message
    return f"{message[: _LONGEST_ERROR - _END_OF_ERROR]} [...] {message[-_END_OF_ERROR:]}"


def draws() -> bool:
    """Return whether there is a terminal to draw progress on."""
    moves = os.environ.get("TERM", "") not in ("", "dumb", "unknown")
    return sys.stderr.isatty() and moves and is_first_launched()


def command(name: str, folder: Path, options: str = "") -> str:
    """Return a command to run next, for a message; omits the current folder."""
    words = ["sparsedet", name, "" if folder == Path() else shlex.quote(str(folder)), options]
    return not_broken(" ".join(word for word in words if word))


def not_broken(text: str) -> str:
    """Return a text that is not wrapped, such as a command to copy."""
    return text.replace(" ", _NO_BREAK)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on stdout; all columns but the first are right-aligned.

    Columns that the terminal has no room for follow below, with the first one repeated.
    """
    texts = [list(columns), *([one_line(str(cell)) for cell in row] for row in rows)]
    widths = [max(_width(row[column]) for row in texts) for column in range(len(columns))]
    line(title)
    for shown in _side_by_side(widths, _columns(sys.stdout)):
        for row in texts:
            cells = [_padded(row[column], widths[column], right=column > 0) for column in shown]
            line(("  " + "  ".join(cells)).rstrip())


def _side_by_side(widths: Sequence[int], columns: int | None) -> list[list[int]]:
    """Return the indices of a table's columns, in groups that fit; each starts with the first."""
    groups = [[0]]
    for index, width in enumerate(widths[1:], start=1):
        used = sum(2 + widths[other] for other in groups[-1])
        if columns is not None and len(groups[-1]) > 1 and used + 2 + width > columns:
            groups.append([0])
        groups[-1].append(index)
    return groups


def _padded(cell: str, width: int, *, right: bool) -> str:
    space = " " * (width - _width(cell))
    return space + cell if right else cell + space


def check_replaceable(path: Path, kind: tuple[bytes, str], option: str = "-o") -> None:
    """Refuse to overwrite anything but an older file of the same kind.

    Args:
        path: the file to write.
        kind: bytes at the start of such a file, and its name for messages.
        option: the option that gave the path.

    Raises:
        SparseDetError: if something else is there.
    """
    mark, name = kind
    if path.is_dir():
        raise SparseDetError(f"{path}: is a folder; pass a file with {option}")
    if not path.exists():
        return
    if not path.is_file():
        # Reading a pipe would wait forever for what this command is to write.
        raise SparseDetError(f"{path}: is not a regular file; pass a file with {option}")
    with path.open("rb") as file:
        head = file.read(_HEAD)
    # COCO annotations contain such entries, too.
    is_one = head.startswith(mark) if kind == RESULTS else mark in head
    if not is_one and not (kind in (MINED, RESULTS) and head.strip() == _EMPTY_LIST):
        raise SparseDetError(
            f"{path}: already exists and is not a {name}; not overwritten, choose another file "
            f"with {option}"
        )
