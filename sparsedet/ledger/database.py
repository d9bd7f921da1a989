"""The ledger's SQLite file: its schema, and transactions that several processes can share."""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect
from sqlalchemy.exc import DatabaseError, OperationalError

from sparsedet.errors import SparseDetError
from sparsedet.ledger.migration import TABLES, migrate
from sparsedet.ledger.schema import Base

SCHEMA = 5
"""Current schema number, kept in SQLite's `user_version`; raise it when a table changes."""

_MOVE = "move it away and run `sparsedet review` to rebuild a workspace's ledger"

_BUSY_SECONDS = 30.0
"""Seconds to wait for another process that is writing."""

_CAUSES = {
    sqlite3.SQLITE_FULL: "free up space, then run it again",
    sqlite3.SQLITE_BUSY: "close what else has the file open, then run it again",
    sqlite3.SQLITE_LOCKED: "close what else has the file open, then run it again",
    sqlite3.SQLITE_READONLY: "check the permissions of the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "check the permissions of the file and its folder",
    sqlite3.SQLITE_IOERR: "check the disk",
    sqlite3.SQLITE_CORRUPT: "`sparsedet check` finds what is damaged",
}
"""SQLite's primary result code -> what the user can do about it."""


def open_engine(path: Path) -> Engine:
    """Return an engine for the SQLite file `path`, for read transactions."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)), connect_args={"timeout": _BUSY_SECONDS}
    )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def for_writing(engine: Engine) -> Engine:
    """Return the same engine with transactions that take SQLite's write lock at the start.

    A transaction that reads first and requests the lock later fails at once if another process has
    written in between.
    """
    return engine.execution_options(immediate=True)


def create_or_migrate(engine: Engine, path: Path) -> None:
    """Create the tables of an empty file, or migrate those of an older schema.

    Both happen in one transaction.

    Args:
        engine: of the file.
        path: of the file, for error messages.

    Raises:
        SparseDetError: when the file is not a ledger, or its schema can't be read by this version.
    """
    if path.is_dir():
        raise SparseDetError(f"{path}: a folder, not a ledger; {_MOVE}")
    try:
        with engine.begin() as connection:
            schema = _schema(connection, path)
        if schema != SCHEMA:
            with for_writing(engine).begin() as connection:
                # Check again: another process may have been faster.
                schema = _schema(connection, path)
                if schema == 0:
                    Base.metadata.create_all(connection)
                elif schema < SCHEMA:
                    migrate(connection, schema)
                connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA}")
    except OperationalError as error:
        raise unusable(path, "open", error) from error
    except DatabaseError as error:
        raise SparseDetError(f"{path}: not a ledger ({error.orig}); {_MOVE}") from error


def unusable(path: Path, verb: str, error: DatabaseError) -> SparseDetError:
    """Return the error for a ledger that SQLite can't read or write.

    Args:
        path: of the file.
        verb: what failed.
        error: from SQLite.
    """
    # The upper bits tell variants of a cause apart.
    cause = _CAUSES.get(getattr(error.orig, "sqlite_errorcode", 0) & 0xFF)
    advice = f"; {cause}" if cause else ""
    return SparseDetError(f"{path}: can't {verb} the ledger ({error.orig}){advice}")


def _schema(connection: Connection, path: Path) -> int:
    """Return a ledger's schema, 0 for an empty file; raise for any other file."""
    tables = set(inspect(connection).get_table_names())
    schema: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if not tables and schema == 0:
        return 0
    if not tables >= TABLES.get(schema, set(Base.metadata.tables)):
        table = f" (with a table {min(tables)!r})" if tables else ""
        raise SparseDetError(
            f"{path}: not a ledger but another database{table}; use a separate file for the "
            f"ledger, or {_MOVE}"
        )
    if not 0 < schema <= SCHEMA:
        raise SparseDetError(
            f"{path}: made by another version of sparsedet (its schema is {schema}, this one reads "
            f"{SCHEMA}): use that version, or update this one"
        )
    return schema


def _set_up(connection: sqlite3.Connection, _record: Any) -> None:
    # Leave transactions to `_begin`: Python's own handling begins them too late for a consistent
    # read, and not at all for schema changes.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
