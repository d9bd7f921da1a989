"""Several processes on one ledger."""

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sparsedet.ledger import Ledger
from tests.ledger.builders import MINED, dataset, new_push

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
