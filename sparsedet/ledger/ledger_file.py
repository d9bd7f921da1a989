"""The ledger's file: opening, closing, read and write transactions."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.orm import Session

from sparsedet.errors import SparseDetError
from sparsedet.ledger.database import create_or_migrate, for_writing, open_engine, unusable


class LedgerFile:
    """A ledger's SQLite file; see `Ledger`."""

    def __init__(self, path: Path, *, must_exist: bool = False) -> None:
        if must_exist and not path.exists():
            if not path.parent.is_dir():
                raise SparseDetError(f"{path.parent}: no such folder")
            if path.with_name("sparsedet.toml").is_file():
                raise SparseDetError(
                    f"{path.parent}: nothing was pushed yet: run `sparsedet round` first"
                )
            raise SparseDetError(
                f"{path}: no ledger here: is this the folder of a workspace? `sparsedet round` "
                "and `sparsedet push` create it"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._engine = open_engine(path)
        try:
            create_or_migrate(self._engine, path)
        except SparseDetError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        with self._transaction(self._engine) as session:
            yield session

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        with self._transaction(for_writing(self._engine)) as session:
            yield session

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Session]:
        try:
            with Session(engine, expire_on_commit=False) as session, session.begin():
                yield session
        except DatabaseError as error:
            # Other database errors are bugs in our statements.
            if type(error) not in (OperationalError, DatabaseError):
                raise
            raise unusable(self.path, "use", error) from error
