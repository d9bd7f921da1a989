"""Marks of complete classes in the ledger: kept with reviews and merges, from older ledgers too."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from sparsedet.errors import SparseDetError
from sparsedet.ledger import Ledger
from sparsedet.reviews import Written
from tests.ledger.builders import MINED, dataset, kept, new_push, read, review
from tests.ledger.ledger_files import tables_of

PLACE, SOURCE = new_push().place, new_push().place.source
CAT = frozenset({"cat"})
WRITTEN = Written({"a1": kept("a1")}, complete_classes=CAT)


def fill(ledger: Ledger) -> None:
    """Record a review with a mark, and a merge that wrote it."""
    ledger.record_push(new_push(), MINED, dataset())
    ledger.record_reviews(PLACE, read(review(kept("a1"), complete_classes=CAT)))
    ledger.record_written(SOURCE, {"11": (WRITTEN, "v2")})


def marks(ledger: Ledger) -> tuple[frozenset[str], frozenset[str]]:
    """Return the classes that reviews mark, and those that a merge wrote."""
    (image,) = ledger.image_reviews(SOURCE)
    return image.verdict().complete_classes, image.written.complete_classes


def test_marks_are_kept(ledger: Ledger) -> None:
    fill(ledger)
    assert marks(ledger) == (CAT, CAT)


def test_marks_have_the_new_name_of_their_class(ledger: Ledger) -> None:
    fill(ledger)
    ledger.record_reviews(PLACE, read(review(shown="", complete_classes=CAT)))
    ledger.relabel({"cat": "lynx"})
    assert marks(ledger) == (frozenset({"lynx"}), frozenset({"lynx"}))


def test_a_mark_that_is_added_later_is_a_new_word(ledger: Ledger) -> None:
    fill(ledger)
    late = "2026-05-09T10:00:00Z"
    again = review(kept("a1"), complete_classes=CAT, saved_at=late)
    ledger.record_reviews(PLACE, read(again))
    assert saved_at(ledger) != late  # saved once more, as it was
    ledger.record_reviews(PLACE, read(replace(again, complete_classes=CAT | {"dog"})))
    assert saved_at(ledger) == late


def saved_at(ledger: Ledger) -> str:
    (image,) = ledger.image_reviews(SOURCE)
    (only,) = image.reviews
    return only.saved_at


@pytest.mark.parametrize("schema", [3, 4])
def test_an_older_ledger_becomes_one_of_today(tmp_path: Path, schema: int) -> None:
    path = tmp_path / "ledger.sqlite"
    with closing(Ledger(path)) as ledger:
        ledger.record_push(new_push(), MINED, dataset())
        ledger.record_reviews(PLACE, read(review(kept("a1"))))
    tables = tables_of(path)
    with closing(sqlite3.connect(path)) as database:
        if schema == 3:
            database.execute("ALTER TABLE queued_images DROP COLUMN judge_only")
        database.execute(f"PRAGMA user_version = {schema}")
        database.commit()
    with closing(Ledger(path)) as ledger:
        assert marks(ledger) == (frozenset(), frozenset())  # nothing was said
        fill(ledger)
    with closing(Ledger(path)) as ledger:
        assert marks(ledger) == (CAT, CAT)
    assert tables_of(path) == tables


def test_a_version_that_knows_no_marks_refuses_the_ledger(tmp_path: Path) -> None:
    """It would drop them without a word, so the schema has another number."""
    path = tmp_path / "ledger.sqlite"
    with closing(Ledger(path)) as ledger:
        fill(ledger)
    with closing(sqlite3.connect(path)) as database:
        (schema,) = database.execute("PRAGMA user_version").fetchone()
        assert schema == 5
        database.execute("PRAGMA user_version = 6")
        database.commit()
    with pytest.raises(SparseDetError, match="its schema is 6, this one reads 5"):
        Ledger(path)
