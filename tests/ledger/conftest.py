"""A new ledger for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sparsedet.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "new" / "ledger.sqlite")
    yield ledger
    ledger.close()
