"""Which of the kept cells no longer say what the code would bring now."""

from collections.abc import Sequence

from sparsedet.errors import SparseDetError

from .data import FullData
from .fingerprint import Fingerprint, configuration_hash, fingerprint
from .plan import as_planned
from .record import Record


def stale(records: Sequence[Record], code: str, data: FullData | None) -> dict[str, list[str]]:
    """Return what has changed since, by the key of every stale cell.

    Args:
        records: all of them.
        code: hash of the code as it is.
        data: the dataset at hand. Of others the annotations can't be read again: there, the newest
            cell tells what they are, so that figures of two states never meet in a table.
    """
    newest: dict[object, Record] = {}
    for record in sorted(records, key=lambda record: record.date):
        newest[record.cell.data] = newest[_sparse(record)] = record
    found = {}
    for record in records:
        try:
            cell = as_planned(record.cell)
            if data is not None and cell.data == data.name:
                expected = fingerprint(cell, data, code)
            else:
                classes = len(record.figures.per_class)
                expected = Fingerprint(
                    configuration=configuration_hash(cell, classes),
                    training_data=newest[_sparse(record)].fingerprint.training_data,
                    test_data=newest[record.cell.data].fingerprint.test_data,
                    code=code,
                )
            differences = record.fingerprint.differences(expected)
        except SparseDetError as error:
            differences = [str(error)]
        if differences:
            found[record.cell.key] = differences
    return found


def _sparse(record: Record) -> object:
    cell = record.cell
    return (cell.data, cell.recipe, cell.drop, cell.seed)
