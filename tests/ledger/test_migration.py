"""Migration of a ledger of schema 1, which had no reviews, in place."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sparsedet.errors import SparseDetError
from sparsedet.ledger import Ledger
from sparsedet.ledger.database import SCHEMA
from sparsedet.reviews import SourceState, Written, changes
from tests.ledger.builders import (
    MINED,
    dataset,
    drafts,
    in_source,
    kept,
    new_push,
    outcomes,
    read,
    review,
)
from tests.ledger.ledger_files import content_of, tables_of
from tests.ledger.test_database import KILLED

PLACE = new_push().place

# The tables as the first version made them.
TABLES = """
CREATE TABLE pushes (
    id INTEGER NOT NULL, tool VARCHAR NOT NULL, url VARCHAR NOT NULL, project VARCHAR NOT NULL,
    review_project VARCHAR NOT NULL, mode VARCHAR NOT NULL, model_version VARCHAR NOT NULL,
    round INTEGER, created_at DATETIME NOT NULL, PRIMARY KEY (id)
);
CREATE TABLE source_images (
    id INTEGER NOT NULL, tool VARCHAR NOT NULL, url VARCHAR NOT NULL, project VARCHAR NOT NULL,
    review_project VARCHAR NOT NULL, mode VARCHAR NOT NULL, image_tool_id VARCHAR NOT NULL,
    version VARCHAR, merged_at DATETIME, PRIMARY KEY (id),
    UNIQUE (tool, url, project, review_project, mode, image_tool_id)
);
CREATE TABLE boxes (
    region_id VARCHAR NOT NULL, push_id INTEGER NOT NULL, round INTEGER,
    image_tool_id VARCHAR NOT NULL, file_name VARCHAR NOT NULL, category VARCHAR NOT NULL,
    "left" DOUBLE NOT NULL, top DOUBLE NOT NULL, "right" DOUBLE NOT NULL, bottom DOUBLE NOT NULL,
    score DOUBLE NOT NULL, threshold DOUBLE NOT NULL, source_version VARCHAR,
    outcome VARCHAR NOT NULL, final_category VARCHAR, final_left DOUBLE, final_top DOUBLE,
    final_right DOUBLE, final_bottom DOUBLE, reviewer VARCHAR, review_id VARCHAR, seconds DOUBLE,
    in_source BOOLEAN NOT NULL, PRIMARY KEY (region_id),
    FOREIGN KEY(push_id) REFERENCES pushes (id)
);
CREATE INDEX ix_boxes_push_id ON boxes (push_id);
PRAGMA user_version = 1;
"""
# Image 11 was merged: a1 accepted, a2 rejected. Image 12 has b1 edited and not merged; d1 is a
# saved draft; p1 is pending on an image of its own.
PROJECT = "'label-studio', 'http://localhost:8080', '7'"
ROWS = f"""
INSERT INTO pushes VALUES
    (1, {PROJECT}, '8', 'review-project', 'run-1', 1, '2026-05-01'),
    (2, {PROJECT}, '7', 'draft', 'run-2', 2, '2026-05-02');
INSERT INTO source_images VALUES
    (1, {PROJECT}, '8', 'review-project', '11', 'v2', '2026-05-01'),
    (2, {PROJECT}, '8', 'review-project', '12', 'v1', NULL),
    (3, {PROJECT}, '7', 'draft', '12', 'v1', NULL);
INSERT INTO boxes VALUES
    ('a1', 1, 1, '11', 'a.jpg', 'cat', 10, 10, 50, 50, 0.9, 0.5, 'v1',
     'accepted', 'cat', 10, 10, 50, 50, 'ann', 'r1', 4.0, 1),
    ('a2', 1, 1, '11', 'a.jpg', 'dog', 10, 10, 50, 50, 0.8, 0.5, 'v1',
     'rejected', NULL, NULL, NULL, NULL, NULL, 'ann', 'r1', 4.0, 1),
    ('b1', 1, 1, '12', 'b.jpg', 'cat', 10, 10, 50, 50, 0.7, 0.5, 'v1',
     'edited', 'dog', 10, 10, 60, 50, 'bob', 'r2', 2.0, 0),
    ('d1', 2, 2, '12', 'b.jpg', 'cat', 70, 70, 90, 90, 0.7, 0.5, 'v1',
     'accepted', 'cat', 70, 70, 90, 90, 'ann', NULL, NULL, 1),
    ('p1', 1, 1, '13', 'c.jpg', 'cat', 10, 10, 50, 50, 0.7, 0.5, 'v1',
     'pending', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0);
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(TABLES + ROWS)
    return path


def test_nothing_is_lost(path: Path) -> None:
    with closing(Ledger(path)) as ledger:
        assert outcomes(ledger) == {
            "a1": "accepted",
            "a2": "rejected",
            "b1": "edited",
            "d1": "accepted",
            "p1": "pending",
        }
        assert in_source(ledger) == {"a1", "a2", "d1"}
        assert ledger.places() == [PLACE, drafts().place]
        assert [push.round for push in ledger.pushes()] == [1, 2]
        edited = ledger.boxes()[2]
        assert (edited.final_xyxy, edited.reviewer, edited.seconds) == ((10, 10, 60, 50), "bob", 2)
        assert edited.size is None
        found = {image.tool_id: image for image in ledger.pushed_images(PLACE)}
        assert {id: image.version for id, image in found.items()} == {
            "11": "v2",
            "12": "v1",
            "13": None,
        }
        assert (found["11"].size, found["12"].written) == (None, Written())
        assert ledger.pushed_images(drafts().place)[0].region_ids == {"d1"}
        assert [counts.seconds for counts in ledger.rounds()] == [6.0, 0.0]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA,)


def test_it_has_the_tables_of_a_new_one(path: Path, tmp_path: Path) -> None:
    Ledger(path).close()
    Ledger(tmp_path / "new.sqlite").close()
    assert tables_of(path) == tables_of(tmp_path / "new.sqlite")


def test_it_is_migrated_once(path: Path) -> None:
    Ledger(path).close()
    before = content_of(path)
    Ledger(path).close()
    assert content_of(path) == before


def test_what_was_settled_and_not_merged_is_still_to_be_merged(path: Path) -> None:
    with closing(Ledger(path)) as ledger:
        (image,) = ledger.image_reviews(PLACE.source)
    assert image.tool_id == "12"
    decision = image.verdict().decisions["b1"]
    assert (decision.fate, decision.origin) == ("kept", "edited")
    assert decision.region == kept("b1", "dog", (10.0, 10.0, 60.0, 50.0))
    assert decision.review.reviewer == "bob"
    # The draft is in the source already.
    assert set(image.verdict().decisions) == {"b1"}


def test_what_people_did_after_an_old_merge_is_no_conflict(path: Path) -> None:
    with closing(Ledger(path)) as ledger:
        again = review(kept("a1"), review_id="r1")
        ledger.record_reviews(PLACE, read(again, known="11"))
        assert in_source(ledger) == {"a1", "a2", "d1"}
        image = ledger.image_reviews(PLACE.source)[0]
    assert image.written == Written({"a1": kept("a1"), "a2": None})
    # Since the merge somebody deleted a1 from the source.
    assert not changes(SourceState("11", {}), image.verdict(), image.written)


def test_only_a_review_that_was_read_takes_an_old_outcome_back(path: Path) -> None:
    with closing(Ledger(path)) as ledger:
        before = outcomes(ledger)
        # Its review task may have been deleted while another one of the image waits.
        ledger.record_reviews(PLACE, read(known=""))
        ledger.record_reviews(drafts().place, read(known="11"))
        ledger.record_reviews(PLACE, read(known="11"))
        assert outcomes(ledger) == before
        ledger.record_reviews(PLACE, read(review(kept("a1")), known="11"))
        assert outcomes(ledger) == before
        ledger.record_reviews(PLACE, read(known="11"))
        assert outcomes(ledger) == before | {"a1": "pending", "a2": "pending"}


def test_sizes_are_noted_with_the_next_push(path: Path) -> None:
    with closing(Ledger(path)) as ledger:
        ledger.resize({"11": (100, 100)})
        ledger.record_push(new_push("run-3"), MINED[2:], dataset())
        sizes = {box.region_id: box.size for box in ledger.boxes()}
        assert sizes == dict.fromkeys(["a1", "a2", "b1", "d1"], (100, 100)) | {"p1": None}
        assert ledger.boxes()[0].xyxy == (10, 10, 50, 50)


@pytest.mark.parametrize(
    "statement",
    [
        *("ADD COLUMN gone", "DROP TABLE", "CREATE TABLE reviews", "INTO pushed_versions"),
        *("ADD COLUMN expected_precision", "CREATE TABLE queued_images"),
    ],
)
def test_a_process_killed_in_between_leaves_the_old_ledger(statement: str, path: Path) -> None:
    before = content_of(path)
    killed = subprocess.run([sys.executable, "-c", KILLED, path, statement], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert content_of(path) == before
    with closing(Ledger(path)) as ledger:
        assert len(ledger.boxes()) == 5


def test_another_database_is_not_migrated(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE boxes (id INTEGER); PRAGMA user_version = 1")
    before = content_of(path)
    with pytest.raises(SparseDetError, match="not a ledger but another database"):
        Ledger(path)
    assert content_of(path) == before
