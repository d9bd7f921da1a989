"""Repairs of the ledger; each first copies it to lost and found."""

from collections.abc import Callable, Collection
from contextlib import closing

from sparsedet.checking.checked import Checked
from sparsedet.checking.finding import LostAndFound, Repair
from sparsedet.errors import SparseDetError
from sparsedet.ledger.checkup import LedgerCheckup
from sparsedet.loop.last_reading import reading_file
from sparsedet.loop.ledger_rebuild import rebuild
from sparsedet.wording import counted


def rebuild_ledger(checked: Checked, lost: LostAndFound) -> str:
    """Set a broken ledger aside, and rebuild it from the rounds."""
    settings = checked.settings
    if settings is None:
        raise SparseDetError(
            f"{checked.workspace.settings_file}: needed to rebuild the ledger: repair it first"
        )
    ledger = checked.workspace.ledger
    # A journal belongs to the file next to it and must not be applied to a later ledger.
    next_to_it = [ledger.with_name(ledger.name + end) for end in ("-journal", "-wal", "-shm")]
    for path in (ledger, *next_to_it, reading_file(ledger)):
        if path.exists():
            lost.take(path)
    return rebuild(checked.workspace, settings) or f"{ledger.name} set aside; no round was pushed"


def drop_rows(checked: Checked, table: str, rows: Collection[int]) -> Repair:
    """Return the repair that removes rows of a table."""
    return _change(
        checked, lambda ledger: f"{counted(ledger.remove(table, rows), 'row')} of {table} removed"
    )


def join_pushes(checked: Checked) -> Repair:
    """Return the repair that joins duplicate pushes."""
    return _change(
        checked, lambda ledger: f"{counted(ledger.join_pushes(), 'duplicate push')} joined"
    )


def settle_again(checked: Checked) -> Repair:
    """Return the repair that settles boxes by the stored reviews."""
    return _change(
        checked,
        lambda ledger: f"{counted(ledger.settle_again(checked.rule), 'box')} settled by reviews",
    )


def _change(checked: Checked, change: Callable[[LedgerCheckup], str]) -> Repair:
    def repair(lost: LostAndFound) -> str:
        lost.copy(checked.workspace.ledger)
        with closing(LedgerCheckup(checked.workspace.ledger)) as ledger:
            return f"{checked.workspace.ledger.name}: {change(ledger)}"

    return repair
