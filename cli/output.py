"""Output: JSON for machines, text and progress for people, and files that may be replaced.

rich is imported when something is drawn, so that `--help` stays instant.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from sparsedet.errors import SparseDetError
from sparsedet.runtime.launched import is_first_launched
from sparsedet.tool import Progress

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


def emit_json(value: Mapping[str, Any]) -> None:
    """Print the one JSON object of a `--json` call."""
    echo(json.dumps(value, ensure_ascii=False))


def say(text: str) -> None:
    """Print a message for people; on stderr, so that stdout stays for results."""
    echo(text, err=True)


def echo(text: str, *, err: bool = False) -> None:
    """Print a line; of several processes that work on one command only the first does."""
    if is_first_launched():
        typer.echo(text, err=err)


def draws() -> bool:
    """Return whether there is a terminal to draw progress on."""
    return sys.stderr.isatty() and is_first_launched()


def command(name: str, folder: Path, options: str = "") -> str:
    """Return a command to type next; the current folder needs no name."""
    words = ["sparsedet", name, "" if folder == Path() else str(folder), options]
    return " ".join(word for word in words if word)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on stdout; all columns but the first are right-aligned."""
    texts = [list(columns), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(columns))]
    echo(title)
    for row in texts:
        cells = [
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        echo(("  " + "  ".join(cells)).rstrip())


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Yield a callable `progress(what, done, total)` that draws one bar per `what` on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    with RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not draws(),
    ) as bars:
        tasks: dict[str, Any] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield report


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
