"""Migration of a ledger of schema 2, which had reviews and no queue, in place."""

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sparsedet.ledger import Ledger, QueueEntry
from sparsedet.ledger.database import SCHEMA
from sparsedet.reviews import Written
from tests.ledger.builders import MINED, dataset, in_source, kept, new_push, outcomes, read, review
from tests.ledger.ledger_files import content_of, tables_of
from tests.ledger.test_database import KILLED

PLACE = new_push().place

# The tables as schema 2 had them.
TABLES = """
CREATE TABLE pushes (
    id INTEGER NOT NULL, tool VARCHAR NOT NULL, url VARCHAR NOT NULL, project VARCHAR NOT NULL,
    review_project VARCHAR NOT NULL, mode VARCHAR NOT NULL, model_version VARCHAR NOT NULL,
    round INTEGER, gone BOOLEAN NOT NULL, created_at DATETIME NOT NULL, PRIMARY KEY (id)
);
CREATE TABLE pushed_versions (
    id INTEGER NOT NULL, tool VARCHAR NOT NULL, url VARCHAR NOT NULL, project VARCHAR NOT NULL,
    review_project VARCHAR NOT NULL, mode VARCHAR NOT NULL, image_tool_id VARCHAR NOT NULL,
    version VARCHAR, PRIMARY KEY (id),
    UNIQUE (tool, url, project, review_project, mode, image_tool_id)
);
CREATE TABLE reviews (
    id INTEGER NOT NULL, tool VARCHAR NOT NULL, url VARCHAR NOT NULL, project VARCHAR NOT NULL,
    review_project VARCHAR NOT NULL, mode VARCHAR NOT NULL, image_tool_id VARCHAR NOT NULL,
    review_id VARCHAR NOT NULL, skipped BOOLEAN NOT NULL, content VARCHAR NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX ix_reviews_image_tool_id ON reviews (image_tool_id);
CREATE TABLE source_images (
    id INTEGER NOT NULL, tool VARCHAR NOT NULL, url VARCHAR NOT NULL, project VARCHAR NOT NULL,
    image_tool_id VARCHAR NOT NULL, digest VARCHAR, written VARCHAR, PRIMARY KEY (id),
    UNIQUE (tool, url, project, image_tool_id)
);
CREATE TABLE boxes (
    region_id VARCHAR NOT NULL, push_id INTEGER NOT NULL, round INTEGER,
    image_tool_id VARCHAR NOT NULL, file_name VARCHAR NOT NULL, category VARCHAR NOT NULL,
    "left" DOUBLE NOT NULL, top DOUBLE NOT NULL, "right" DOUBLE NOT NULL, bottom DOUBLE NOT NULL,
    score DOUBLE NOT NULL, threshold DOUBLE NOT NULL, source_version VARCHAR,
    outcome VARCHAR NOT NULL, final_category VARCHAR, final_left DOUBLE, final_top DOUBLE,
    final_right DOUBLE, final_bottom DOUBLE, reviewer VARCHAR, review_id VARCHAR, seconds DOUBLE,
    in_source BOOLEAN NOT NULL, image_width INTEGER, image_height INTEGER,
    PRIMARY KEY (region_id), FOREIGN KEY(push_id) REFERENCES pushes (id)
);
CREATE INDEX ix_boxes_push_id ON boxes (push_id);
CREATE INDEX ix_boxes_image_tool_id ON boxes (image_tool_id);
PRAGMA user_version = 2;
"""
PROJECT = "'label-studio', 'http://localhost:8080', '7'"
AT = f"{PROJECT}, '8', 'review-project'"
REGION = {"id": "a1", "category": "cat", "xyxy": [10, 10, 50, 50]}
DRAWN = {"id": "own", "category": "dog", "xyxy": [60, 60, 90, 90]}
REVIEW = {
    "tool_id": "11",
    "review_id": "r1",
    "shown": {"a1": REGION},
    "regions": [REGION, DRAWN],
    "reviewer": "ann",
    "seconds": 4.0,
    "offer": "t1",
    "saved_at": "2026-05-03T10:00:00Z",
}
WRITTEN = {"boxes": {"a1": REGION}, "complete": False, "holder": ""}
# Image 11 was reviewed, a box drawn there, and merged without that; b1 waits on image 12.
ROWS = f"""
INSERT INTO pushes VALUES (1, {AT}, 'run-1', 1, 0, '2026-05-01 10:00:00.000000');
INSERT INTO pushed_versions VALUES (1, {AT}, '11', 'v2'), (2, {AT}, '12', 'v1');
INSERT INTO reviews VALUES (1, {AT}, '11', 'r1', 0, '{json.dumps(REVIEW)}');
INSERT INTO source_images VALUES
    (1, {PROJECT}, '11', 'd11', '{json.dumps(WRITTEN)}'), (2, {PROJECT}, '12', NULL, NULL);
INSERT INTO boxes VALUES
    ('a1', 1, 1, '11', 'a.jpg', 'cat', 10, 10, 50, 50, 0.9, 0.5, 'v1',
     'accepted', 'cat', 10, 10, 50, 50, 'ann', 'r1', 4.0, 1, 100, 100),
    ('b1', 1, 1, '12', 'b.jpg', 'cat', 10, 10, 50, 50, 0.7, 0.5, 'v1',
     'pending', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 100, 100);
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(TABLES + ROWS)
    return path


def test_nothing_is_lost(path: Path) -> None:
    with closing(Ledger(path)) as ledger:
        assert outcomes(ledger) == {"a1": "accepted", "b1": "pending"}
        assert in_source(ledger) == {"a1"}
        assert ledger.digests() == {"11": ("d11", (100, 100))}
        assert [box.expected_precision for box in ledger.boxes()] == [None, None]
        assert [image.version for image in ledger.pushed_images(PLACE)] == ["v2", "v1"]
        (image,) = ledger.image_reviews(PLACE.source)
        assert image.written == Written({"a1": kept("a1")})
        assert image.reviews[0].reviewer == "ann"
        assert ledger.queued() == []
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA,)


def test_what_was_drawn_before_is_counted(path: Path) -> None:
    with closing(Ledger(path)) as ledger:
        (drawn,) = ledger.drawn()
        assert (drawn.region_id, drawn.round) == ("own", 1)
        (counts,) = ledger.rounds()
        assert (counts.reviewed_images, counts.seconds, counts.outcomes.drawn) == (1, 4.0, 1)


def test_it_has_the_tables_of_a_new_one(path: Path, tmp_path: Path) -> None:
    Ledger(path).close()
    Ledger(tmp_path / "new.sqlite").close()
    assert tables_of(path) == tables_of(tmp_path / "new.sqlite")


def test_it_is_migrated_once(path: Path) -> None:
    Ledger(path).close()
    before = content_of(path)
    Ledger(path).close()
    assert content_of(path) == before


def test_it_has_a_queue_from_then_on(path: Path) -> None:
    with closing(Ledger(path)) as ledger:
        queue = [QueueEntry(2, boxes=1), QueueEntry(1, audit=True)]
        ledger.record_push(new_push("run-2", round=2), MINED[2:], dataset(), queue=queue)
        assert [row.image_tool_id for row in ledger.queued()] == ["12", "11"]
        ledger.record_reviews(PLACE, read(review(kept("b1"), shown="b1", tool_id="12")))
        assert outcomes(ledger)["b1"] == "accepted"


@pytest.mark.parametrize("statement", ["ADD COLUMN expected_precision", "TABLE queued_images"])
def test_a_process_killed_in_between_leaves_the_old_ledger(statement: str, path: Path) -> None:
    before = content_of(path)
    killed = subprocess.run([sys.executable, "-c", KILLED, path, statement], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert content_of(path) == before
    with closing(Ledger(path)) as ledger:
        assert len(ledger.boxes()) == 2
