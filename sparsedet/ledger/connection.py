"""Connections to a ledger file, with transactions that several processes can share it by."""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

_BUSY_SECONDS = 30.0
"""How long to wait for another process that is writing."""


def open_engine(path: Path) -> Engine:
    """Return an engine for the SQLite file `path`; its transactions are for reading."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)), connect_args={"timeout": _BUSY_SECONDS}
    )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def for_writing(engine: Engine) -> Engine:
    """Return the same engine with transactions that hold SQLite's write lock from the beginning.

    One that reads first and asks for the lock later is refused, without waiting, when another
    process has written in between.
    """
    return engine.execution_options(immediate=True)


def _set_up(connection: sqlite3.Connection, _record: Any) -> None:
    # Leave transactions to `_begin`: Python's own handling begins them too late for a consistent
    # read, and not at all for a change of the schema.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
