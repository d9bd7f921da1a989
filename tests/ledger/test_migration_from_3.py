"""Migration of a ledger of schema 3, in which people drew on every queued image."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from sparsedet.ledger import Ledger, QueueEntry
from tests.ledger.builders import MINED, dataset, new_push
from tests.ledger.ledger_files import tables_of

QUEUE = [QueueEntry(2, audit=True, expected=1.5, seconds=9.0), QueueEntry(1, boxes=2)]


def test_a_queue_asks_for_every_object_as_before(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with closing(Ledger(path)) as ledger:
        ledger.record_push(new_push(round=1), MINED, dataset(), queue=QUEUE)
    tables = tables_of(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("ALTER TABLE queued_images DROP COLUMN judge_only")
        database.execute("PRAGMA user_version = 3")
        database.commit()
    with closing(Ledger(path)) as ledger:
        assert [image.judge_only for image in ledger.queued()] == [False, False]
        assert [image.audit for image in ledger.queued()] == [True, False]
        queue = [replace(QUEUE[1], judge_only=True)]
        ledger.record_push(new_push(round=1), MINED, dataset(), queue=queue)
        assert [image.judge_only for image in ledger.queued()] == [True]
    assert tables_of(path) == tables
