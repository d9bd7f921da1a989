"""A ledger's file: created atomically, shared by processes, never mistaken for another."""

import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from sparsedet.errors import SparseDetError
from sparsedet.ledger import Ledger
from tests.ledger.builders import MINED, dataset, new_push

# Opens a ledger, and is killed as soon as a certain statement was carried out.
KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import Engine, event
from sparsedet.ledger import Ledger

@event.listens_for(Engine, "after_cursor_execute")
def kill(connection, cursor, statement, *rest):
    if sys.argv[2] in " ".join(statement.split()):
        os.kill(os.getpid(), signal.SIGKILL)

Ledger(Path(sys.argv[1]))
"""


def _content(path: Path) -> list[str]:
    """The whole content as SQL."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def _execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def test_a_ledger_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with closing(Ledger(path)) as ledger:
        ledger.record_push(new_push(), MINED, dataset())
    before = _content(path)
    with closing(Ledger(path, must_exist=True)) as ledger:
        assert len(ledger.boxes()) == 3
    assert _content(path) == before


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE pushes", "CREATE TABLE reviews", "PRAGMA user_version ="]
)
def test_a_process_killed_while_it_makes_a_ledger_leaves_none(
    statement: str, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.sqlite"
    killed = subprocess.run([sys.executable, "-c", KILLED, path, statement], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert _content(path) == ["BEGIN TRANSACTION;", "COMMIT;"]
    with closing(Ledger(path)) as ledger:
        assert len(ledger.boxes()) == 0


@pytest.mark.parametrize("schema", [0, 99])
def test_a_ledger_of_another_schema_is_left_alone(schema: int, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    _execute(path, f"PRAGMA user_version = {schema}")
    before = _content(path)
    with pytest.raises(SparseDetError, match=rf"another version .*its schema is {schema}, .*use"):
        Ledger(path)
    assert _content(path) == before


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SparseDetError, match=r"no ledger here: .* create it$"):
        Ledger(tmp_path / "none.sqlite", must_exist=True)
    (tmp_path / "sparsedet.toml").touch()
    with pytest.raises(SparseDetError, match="nothing was pushed yet: run `sparsedet round`"):
        Ledger(tmp_path / "none.sqlite", must_exist=True)
    with pytest.raises(SparseDetError, match="nowhere: no such folder"):
        Ledger(tmp_path / "nowhere/none.sqlite", must_exist=True)
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be taken for a broken one\n" * 20)
    garbage = r"notes.txt: not a ledger \(file is not a database\); move it away.* rebuild"
    with pytest.raises(SparseDetError, match=garbage):
        Ledger(text)
    for number, statement in enumerate(
        ("CREATE TABLE boxes (region_id VARCHAR)", "PRAGMA user_version = 7")
    ):
        other = tmp_path / f"other{number}.sqlite"
        _execute(other, statement)
        before = _content(other)
        with pytest.raises(SparseDetError, match=rf"other{number}\.sqlite: not a ledger but"):
            Ledger(other)
        assert _content(other) == before
    for must_exist in (False, True):
        with pytest.raises(SparseDetError, match=r"a folder, not a ledger; move it .*rebuild"):
            Ledger(tmp_path, must_exist=must_exist)


def test_any_folder_name_will_do(tmp_path: Path) -> None:
    odd = tmp_path / "50% done?#" / "ledger.sqlite"
    Ledger(odd).close()
    assert odd.is_file()
    Ledger(odd, must_exist=True).close()


# Records boxes of its own, one push each, as fast as it can.
WRITER = """
import sys
from pathlib import Path
from sparsedet.ledger import Ledger
from sparsedet.annotations.mined_boxes import MinedBox
from tests.ledger.builders import SPOT, dataset, new_push

name = sys.argv[2]
ledger = Ledger(Path(sys.argv[1]))
for number in range(20):
    box = MinedBox(f"{name}-{number}", 1, 1, SPOT, 0.9, 0.5)
    ledger.record_push(new_push(f"{name}-{number}"), [box], dataset())
"""


def test_processes_that_open_and_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    root = Path(__file__).parents[2]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, name], cwd=root) for name in "abc"
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0]
    with closing(Ledger(path)) as ledger:
        assert len(ledger.boxes()) == 60
        assert len(ledger.pushes()) == 60


def _while_locked(path: Path, lock: str, work: Callable[[], None]) -> None:
    """Do `work` while another connection holds a lock that it releases after half a second."""
    held = threading.Event()

    def hold() -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(f"BEGIN {lock}")
            held.set()
            time.sleep(0.5)
            connection.execute("COMMIT")

    other = threading.Thread(target=hold)
    other.start()
    held.wait()
    work()
    other.join()


def test_reading_waits_for_a_writer(ledger: Ledger) -> None:
    ledger.record_push(new_push(), MINED, dataset())

    def read() -> None:
        with closing(Ledger(ledger.path)) as reader:
            assert reader.counts().pending == 3

    _while_locked(ledger.path, "EXCLUSIVE", read)


def test_writing_waits_for_a_writer(ledger: Ledger) -> None:
    def write() -> None:
        assert ledger.record_push(new_push(), MINED, dataset()) == 3

    _while_locked(ledger.path, "IMMEDIATE", write)


@pytest.mark.parametrize(
    ("pragma", "said"),
    [
        ("max_page_count = 1", "disk is full); free up space, then run it again"),
        ("query_only = 1", "readonly database); check the permissions of the file and its folder"),
    ],
)
def test_an_error_says_what_to_do(ledger: Ledger, pragma: str, said: str) -> None:
    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA {pragma}")

    def fill() -> None:
        with closing(Ledger(ledger.path)) as other:
            for number in range(200):
                other.record_push(new_push(f"v{number}"), MINED, dataset())

    event.listen(Engine, "connect", limit)
    try:
        with pytest.raises(SparseDetError, match=re.escape(said)):
            fill()
    finally:
        event.remove(Engine, "connect", limit)


def test_a_ledger_that_stays_locked_says_so(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparsedet.ledger.database._BUSY_SECONDS", 0.1)

    def write() -> None:
        with (
            closing(Ledger(ledger.path)) as other,
            pytest.raises(SparseDetError, match=r"locked\); close what else has the file open"),
        ):
            other.record_push(new_push(), MINED, dataset())

    _while_locked(ledger.path, "IMMEDIATE", write)
