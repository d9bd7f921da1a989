"""Output: JSON for machines, text and progress for people, and files that may be replaced.

rich is imported when something is drawn, so that `--help` stays instant.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from sparsedet.errors import SparseDetError
from sparsedet.runtime.launched import is_first_launched

_SPACE = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What moves a terminal's cursor, changes its colours, or turns the order of letters around."""
_NO_BREAK = "\N{NO-BREAK SPACE}"
_HEAD = 500
"""Bytes of a file that show of which kind it is."""

COMPARISON = (b'<meta name="generator" content="sparsedet compare">', "page of sparsedet compare")
REPORT = (b'<meta name="generator" content="sparsedet report">', "page of sparsedet report")
ENDED_BY_INTERRUPT = 130
"""The exit status, as of a shell."""

MINED = (b'"region_id"', "list of mined boxes")
REVIEWED = (b'"accepted"', "outcome of reviews")
CSV = (b"region_id,", "table of mined boxes")

_EMPTY_LIST = b"[]"
"""What is left of mined boxes where nothing was mined."""


_messages: Callable[[str], None] | None = None
"""Takes messages for people where something is drawn on the terminal."""


def route_messages(taker: Callable[[str], None] | None) -> None:
    """Let `taker` print what `say` is given; None: it goes straight to stderr."""
    global _messages
    _messages = taker


def emit_json(value: Mapping[str, Any]) -> None:
    """Print the one JSON object of a `--json` call."""
    if is_first_launched():
        typer.echo(json.dumps(value, ensure_ascii=False))


def say(text: str) -> None:
    """Print a message for people; on stderr, so that stdout stays for results."""
    if _messages is not None:
        _messages(text)
    else:
        echo(text, err=True)


def echo(text: str, *, err: bool = False) -> None:
    """Print a message; of several processes that work on one command only the first does."""
    _print(fitted(text, err=err), err=err)


def fitted(text: str, *, err: bool = False) -> str:
    """Return a message as it is printed: on a terminal it is wrapped at words."""
    stream = sys.stderr if err else sys.stdout
    columns = None
    if stream.isatty():
        # Some terminals don't know their width, and say 0.
        columns = os.get_terminal_size(stream.fileno()).columns or None
    return wrapped(text, columns)


def _print(text: str, *, err: bool = False) -> None:
    if is_first_launched():
        typer.echo(text, err=err)


def wrapped(text: str, columns: int | None) -> str:
    """Return a message in lines of at most so many columns.

    Words that are longer stay whole, as links, and so do commands: what is copied has to work.

    Args:
        text: one line, whatever it holds; see `clean`.
        columns: of the terminal; None: there is none, and the message stays one line.
    """
    first, *words = clean(text).split(" ")
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


def clean(text: str) -> str:
    """Return a text as one line that a terminal takes for nothing but text.

    Names of projects, labels and files come from servers and strangers.
    """
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _SPACE.sub(" ", text))


def draws() -> bool:
    """Return whether there is a terminal to draw progress on."""
    moves = os.environ.get("TERM", "") not in ("", "dumb", "unknown")
    return sys.stderr.isatty() and moves and is_first_launched()


def command(name: str, folder: Path, options: str = "") -> str:
    """Return a command to type next, for a message; the current folder needs no name."""
    words = ["sparsedet", name, "" if folder == Path() else str(folder), options]
    return not_broken(" ".join(word for word in words if word))


def not_broken(text: str) -> str:
    """Return a text that a terminal's edge does not break, such as a command to type."""
    return text.replace(" ", _NO_BREAK)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on stdout; all columns but the first are right-aligned."""
    texts = [list(columns), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(columns))]
    _print(clean(title))
    for row in texts:
        cells = [
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        _print(clean(("  " + "  ".join(cells)).rstrip()))


def check_replaceable(path: Path, kind: tuple[bytes, str], option: str = "-o") -> None:
    """Refuse to write over anything but an older file of the same kind.

    Args:
        path: what is to be written.
        kind: what the beginning of such a file holds, and what it is, in words.
        option: the option that gave the path.

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
