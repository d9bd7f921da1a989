"""Access to the SQLite file of a ledger."""

import sqlite3
from contextlib import closing
from pathlib import Path


def content_of(path: Path) -> list[str]:
    """The whole content as SQL, and the number of its schema."""
    with closing(sqlite3.connect(path)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()
        return [*connection.iterdump(), str(version)]


def tables_of(path: Path) -> dict[str, object]:
    """Table or index -> its columns (name, type, not null, is key), and what it is an index of."""
    with closing(sqlite3.connect(path)) as connection:
        entries = connection.execute("SELECT name, tbl_name, type FROM sqlite_master").fetchall()
        return {
            name: (of, kind, {(c[1], c[2], c[3], c[5]) for c in _columns(connection, name)})
            for name, of, kind in entries
        }


def _columns(connection: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    return connection.execute(f"PRAGMA table_info({table})").fetchall()
