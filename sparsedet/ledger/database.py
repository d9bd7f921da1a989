"""Brings a ledger file to the present schema, whatever version of sparsedet made it."""

from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DatabaseError, OperationalError

from sparsedet.errors import SparseDetError

if TYPE_CHECKING:
    from alembic.config import Config

import sqlite3
from typing import Any

from sqlalchemy import URL, create_engine, event

HEAD = "0002"
"""The newest revision in `migrations/versions`; known here so that alembic stays unimported."""

_FIRST = "0001"
_LEDGER_TABLES = {"pushes", "boxes"}
_REVISION_TABLE = "alembic_version"


def bring_to_head(engine: Engine, path: Path) -> None:
    """Make the tables of an empty file, or run the migrations that an older one lacks.

    All of it happens in one transaction: a crash leaves the old schema or the new one.

    Args:
        engine: of the file.
        path: of the file, for error messages.

    Raises:
        SparseDetError: when the file is no ledger, or was made by a newer sparsedet.
    """
    try:
        with engine.begin() as connection:
            revision = _revision(connection, _tables(connection))
        if revision != HEAD:
            with for_writing(engine).begin() as connection:
                _upgrade(connection, path)
    except OperationalError as error:
        raise SparseDetError(f"{path}: the ledger can't be opened ({error.orig})") from error
    except DatabaseError as error:
        raise SparseDetError(f"{path}: not a ledger ({error.orig})") from error


def alembic_config(scripts: Path) -> "Config":
    """Return alembic's configuration for the folder of the migrations."""
    from alembic.config import Config

    config = Config()
    # Alembic takes % for the start of a placeholder.
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    return config


def _upgrade(connection: Connection, path: Path) -> None:
    # Asked again: another process may have been faster.
    tables = _tables(connection)
    revision = _revision(connection, tables)
    if revision == HEAD:
        return
    if tables and not tables >= _LEDGER_TABLES:
        raise SparseDetError(
            f"{path}: not a ledger but another database (with a table {min(tables)!r}); give the "
            "ledger a file of its own"
        )

    from alembic import command
    from alembic.script import ScriptDirectory

    with as_file(files("sparsedet.ledger.migrations")) as scripts:
        config = alembic_config(scripts)
        config.attributes["connection"] = connection
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if revision is not None and revision not in known:
            raise SparseDetError(
                f"{path}: made by a newer sparsedet (its schema is {revision!r}, this one knows "
                f"{HEAD!r}); update sparsedet"
            )
        if revision is None and tables:
            # The first version kept no account of revisions.
            command.stamp(config, _FIRST)
        command.upgrade(config, HEAD)


def _tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


def _revision(connection: Connection, tables: set[str]) -> str | None:
    """Return the revision that a ledger says it has; None when it says nothing, or is none."""
    if not tables >= {_REVISION_TABLE, *_LEDGER_TABLES}:
        return None
    revision: str | None = connection.scalar(text(f"SELECT version_num FROM {_REVISION_TABLE}"))
    return revision


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
