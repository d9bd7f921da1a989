"""A ledger's file, looked at in a copy: the original and its folder are left as they are."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_WITH_IT = ("", "-journal", "-wal")
"""What SQLite may keep next to a database: after a kill it is needed to read it."""
_AT_MOST = 5
"""Messages of SQLite's own check: a broken file has one for each page."""


@contextmanager
def ledger_copy(ledger: Path) -> Iterator[Path]:
    """Yield a copy of a ledger that may be read, brought up to date, and thrown away.

    SQLite completes or takes back there what a killed process had begun.
    """
    with TemporaryDirectory(prefix="sparsedet-check-") as folder:
        copy = Path(folder) / ledger.name
        for suffix in _WITH_IT:
            part = ledger.with_name(ledger.name + suffix)
            if part.is_file():
                shutil.copyfile(part, copy.with_name(copy.name + suffix))
        yield copy


def damage(database: Path) -> list[str]:
    """Return what SQLite's own check finds wrong with a file, in its words; empty: nothing."""
    try:
        with closing(sqlite3.connect(database)) as connection:
            rows = connection.execute(f"PRAGMA integrity_check({_AT_MOST})").fetchall()
    except sqlite3.DatabaseError as error:
        return [str(error)]
    lines = [line for (text,) in rows for line in str(text).splitlines()]
    return [] if lines == ["ok"] else [line for line in lines if not line.startswith("***")]


def orphans(database: Path) -> dict[str, list[int]]:
    """Return table -> row ids of rows that belong to a push which is not there."""
    found: dict[str, list[int]] = {}
    with closing(sqlite3.connect(database)) as connection:
        for table, row, _, _ in connection.execute("PRAGMA foreign_key_check"):
            found.setdefault(str(table), []).append(int(row))
    return found
