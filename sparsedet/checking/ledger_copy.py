"""Inspect a copy of a ledger's file, leaving the original and its folder untouched."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_WITH_IT = ("", "-journal", "-wal")
"""SQLite's companion files of a database: needed to read it after a kill."""
_AT_MOST = 5
"""Maximum messages of SQLite's own check: a broken file has one for each page."""


@contextmanager
def ledger_copy(ledger: Path) -> Iterator[Path]:
    """Yield a temporary, migrated copy of a ledger.

    There SQLite completes or rolls back what a killed process had begun.
    """
    with TemporaryDirectory(prefix="sparsedet-check-") as folder:
        copy = Path(folder) / ledger.name
        for suffix in _WITH_IT:
            part = ledger.with_name(ledger.name + suffix)
            if part.is_file():
                shutil.copyfile(part, copy.with_name(copy.name + suffix))
        yield copy


def damage(database: Path) -> list[str]:
    """Return the problems that SQLite's own check reports for a file; empty: none."""
    try:
        with closing(sqlite3.connect(database)) as connection:
            rows = connection.execute(f"PRAGMA integrity_check({_AT_MOST})").fetchall()
    except sqlite3.DatabaseError as error:
        return [str(error)]
    lines = [line for (text,) in rows for line in str(text).splitlines()]
    return [] if lines == ["ok"] else [line for line in lines if not line.startswith("***")]


def orphans(database: Path) -> dict[str, list[int]]:
    """Return table -> row ids of rows whose push is missing."""
    found: dict[str, list[int]] = {}
    with closing(sqlite3.connect(database)) as connection:
        for table, row, _, _ in connection.execute("PRAGMA foreign_key_check"):
            found.setdefault(str(table), []).append(int(row))
    return found
