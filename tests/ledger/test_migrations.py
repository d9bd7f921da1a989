"""Ledgers of every version open as ledgers of this one, and nothing else does."""

import logging
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from sparsedet.errors import SparseDetError
from sparsedet.ledger import Ledger
from sparsedet.ledger.database import HEAD, alembic_config
from sparsedet.ledger.tables import Base
from tests.ledger.builders import MINED, dataset, kept, new_push, outcomes, review

# As the first version of sparsedet made it, with a push and two boxes.
VERSION_1 = """
CREATE TABLE pushes (
    id INTEGER NOT NULL, tool VARCHAR NOT NULL, url VARCHAR NOT NULL, project VARCHAR NOT NULL,
    review_project VARCHAR NOT NULL, model_version VARCHAR NOT NULL, created_at DATETIME NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE boxes (
    region_id VARCHAR NOT NULL, push_id INTEGER NOT NULL, image_tool_id VARCHAR NOT NULL,
    file_name VARCHAR NOT NULL, category VARCHAR NOT NULL, "left" DOUBLE NOT NULL,
    top DOUBLE NOT NULL, "right" DOUBLE NOT NULL, bottom DOUBLE NOT NULL, score DOUBLE NOT NULL,
    threshold DOUBLE NOT NULL, outcome VARCHAR NOT NULL, final_category VARCHAR,
    final_left DOUBLE, final_top DOUBLE, final_right DOUBLE, final_bottom DOUBLE,
    reviewer VARCHAR, seconds DOUBLE,
    PRIMARY KEY (region_id), FOREIGN KEY(push_id) REFERENCES pushes (id)
);
CREATE INDEX ix_boxes_push_id ON boxes (push_id);
INSERT INTO pushes VALUES
    (1, 'label-studio', 'http://localhost:8080', '7', '8', 'run-1', '2025-11-03 09:30:00.000000');
INSERT INTO boxes VALUES
    ('a1', 1, '11', 'a.jpg', 'cat', 10, 10, 50, 50, 0.9, 0.5, 'edited', 'cat', 10, 10, 60, 50,
     'ann@example.com', 4.0),
    ('b1', 1, '12', 'b.jpg', 'cat', 10, 10, 50, 50, 0.7, 0.5, 'pending',
     NULL, NULL, NULL, NULL, NULL, NULL, NULL);
"""

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


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_1)
    return path


def _content(path: Path) -> list[str]:
    """The whole content as SQL."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def _execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize("old", [True, False])
def test_migrations_end_in_the_present_tables(old: bool, version_1: Path, tmp_path: Path) -> None:
    path = version_1 if old else tmp_path / "new.sqlite"
    Ledger(path).close()
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []
        assert context.get_current_revision() == HEAD
    engine.dispose()


def test_head_is_the_newest_script() -> None:
    scripts = Path(str(files("sparsedet.ledger.migrations")))
    assert ScriptDirectory.from_config(alembic_config(scripts)).get_current_head() == HEAD


def test_the_package_may_be_installed_in_any_folder() -> None:
    config = alembic_config(Path("/50% done/migrations"))
    assert config.get_main_option("script_location") == "/50% done/migrations"


def test_a_ledger_of_the_first_version_keeps_its_rows(version_1: Path) -> None:
    with closing(Ledger(version_1)) as ledger:
        (push,) = ledger.pushes()
        assert (push.model_version, push.mode, push.round) == ("run-1", "review-project", None)
        assert push.created_at.isoformat() == "2025-11-03T09:30:00"
        edited, pending = ledger.boxes()
        assert (edited.outcome, edited.reviewer, edited.seconds) == ("edited", "ann@example.com", 4)
        assert edited.final_xyxy == (10, 10, 60, 50)
        assert (edited.round, edited.source_version, edited.in_source) == (None, None, False)
        assert pending.outcome == "pending"
        assert {i.tool_id: i.version for i in ledger.pushed_images(push.place)} == {
            "11": None,
            "12": None,
        }
        # And it works on: the push is known, its pending box takes the version.
        assert ledger.record_push(new_push(), MINED, dataset("v5")) == 1
        assert len(ledger.pushes()) == 1
        ledger.record_reviews(push.place, [review(kept("b1"), shown="b1", tool_id="12")])
        assert outcomes(ledger) == {"a1": "pending", "a2": "pending", "b1": "accepted"}


def test_a_migration_that_fails_changes_nothing(version_1: Path) -> None:
    # In the way of the last step of 0002.
    _execute(version_1, "CREATE TABLE source_images (id INTEGER)")
    before = _content(version_1)
    with pytest.raises(SparseDetError, match=r"can't be opened.*source_images already exists"):
        Ledger(version_1)
    assert _content(version_1) == before
    _execute(version_1, "DROP TABLE source_images")
    with closing(Ledger(version_1)) as ledger:
        assert len(ledger.boxes()) == 2


@pytest.mark.parametrize(
    ("old", "statement"),
    [
        (True, "CREATE TABLE alembic_version"),
        (True, "ALTER TABLE boxes ADD COLUMN round"),
        (True, "UPDATE alembic_version"),
        (False, "CREATE TABLE boxes"),
        (False, "UPDATE alembic_version"),
    ],
)
def test_a_killed_migration_changes_nothing(
    old: bool, statement: str, version_1: Path, tmp_path: Path
) -> None:
    path = version_1 if old else tmp_path / "new.sqlite"
    before = _content(path)
    killed = subprocess.run([sys.executable, "-c", KILLED, path, statement], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert _content(path) == before
    with closing(Ledger(path)) as ledger:
        assert len(ledger.boxes()) == (2 if old else 0)


def test_a_ledger_at_head_opens_without_alembic(version_1: Path) -> None:
    Ledger(version_1).close()
    program = (
        "import sys; from pathlib import Path; from sparsedet.ledger import Ledger\n"
        "Ledger(Path(sys.argv[1])).close(); assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, version_1], check=True)


def test_migrations_leave_logging_alone(version_1: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ours = logging.getLogger("sparsedet.ledger.test")
    handlers, level = list(logging.root.handlers), logging.root.level
    Ledger(version_1).close()
    assert (logging.root.handlers, logging.root.level, ours.disabled) == (handlers, level, False)
    assert capfd.readouterr() == ("", "")


def test_a_ledger_of_a_newer_version_is_left_alone(version_1: Path) -> None:
    Ledger(version_1).close()
    _execute(version_1, "UPDATE alembic_version SET version_num = '0099'")
    before = _content(version_1)
    with pytest.raises(SparseDetError, match=r"made by a newer sparsedet .*'0099'.*update"):
        Ledger(version_1)
    assert _content(version_1) == before


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SparseDetError, match="no ledger here; `sparsedet push` makes it"):
        Ledger(tmp_path / "none.sqlite", must_exist=True)
    with pytest.raises(SparseDetError, match="nowhere: no such folder"):
        Ledger(tmp_path / "nowhere/none.sqlite", must_exist=True)
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be taken for a broken one\n" * 20)
    with pytest.raises(SparseDetError, match=r"notes.txt: not a ledger \(file is not a database"):
        Ledger(text)
    other = tmp_path / "other.sqlite"
    _execute(other, "CREATE TABLE alembic_version (version_num VARCHAR)")
    before = _content(other)
    with pytest.raises(SparseDetError, match=r"other.sqlite: not a ledger but another database"):
        Ledger(other)
    assert _content(other) == before
    with pytest.raises(SparseDetError, match="can't be opened"):
        Ledger(tmp_path)


def test_any_folder_name_will_do(tmp_path: Path) -> None:
    odd = tmp_path / "50% done?#" / "ledger.sqlite"
    Ledger(odd).close()
    assert odd.is_file()
    Ledger(odd, must_exist=True).close()
