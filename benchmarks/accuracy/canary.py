"""The canary: trains recorded cells again to show whether the code still gives their figures.

On one machine the same code gives the same figures. A change that only affects rounding shifts them
by about as much as another seed would; a change that breaks something shifts them further. A cell
passes if its AP is *within the spread* of its row, which is the same cell with all recorded seeds:

- three seeds or more: their range, widened on both sides by their standard deviation. For three
  random seeds, a fourth is inside 77 times in 100; for six, a seventh 91 times; a cell whose own
  seed is among them, as here, more often.
- fewer: their range, widened by twice a borrowed standard deviation, the largest among the same
method's other rows on this dataset, or, if there are none, the largest on this dataset. Around one
seed, another is inside 85 times in 100.

So a cell that is outside by some tenths is a reason to train more (`--only`); one that is far
outside, or was trained on other boxes, is an error.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sparsedet.errors import SparseDetError

from .plan import Cell
from .record import Record
from .summary import METHODS, Setting, Spread, spread

ENOUGH = 3
"""Minimum number of seeds to estimate their spread."""
WITHIN = "within the spread"


def choose(cells: Iterable[Cell], records: Sequence[Record]) -> list[Record]:
    """Return one recorded cell per method, of these cells.

    Prefers methods to variants, rows with enough seeds, sparse labels to all labels (where `staged`
    mines nothing), and cells planned earlier.

    Raises:
        SparseDetError: when none is recorded.
    """
    rows = _rows(records)
    by_cell = {record.cell: record for record in records}

    def preference(cell: Cell) -> tuple[bool, int, bool]:
        return bool(cell.variant), -min(len(rows[_row(cell)]), ENOUGH), cell.drop == 0

    chosen: dict[str, Record] = {}
    for cell in sorted((cell for cell in cells if cell in by_cell), key=preference):
        chosen.setdefault(cell.method, by_cell[cell])
    if not chosen:
        raise SparseDetError("--canary: none of these cells is recorded; see --list")
    return [chosen[method] for method in METHODS if method in chosen]


@dataclass(frozen=True)
class Expected:
    """The expected result of a cell."""

    record: Record
    recorded: Spread
    """AP of the cell's row, by seed."""
    widening: float
    says: str
    """By how much the range is widened."""

    @classmethod
    def of(cls, record: Record, records: Sequence[Record]) -> "Expected":
        """Return the expected result of a cell.

        Raises:
            SparseDetError: when no row of the cell's dataset has enough seeds.
        """
        rows = {
            row: spread(of_row, "AP")
            for row, of_row in _rows(records).items()
            if Setting.of(row) == Setting.of(record.cell)
        }
        own = rows[_row(record.cell)]
        if len(own.values) >= ENOUGH and own.deviation is not None:
            return cls(record, own, own.deviation, f"their deviation, {own.deviation:.2f}")
        known = {
            row: of_row.deviation
            for row, of_row in rows.items()
            if len(of_row.values) >= ENOUGH and of_row.deviation is not None
        }
        alike = [known[row] for row in known if row.method == record.cell.method]
        if not known:
            raise SparseDetError(
                f"{record.cell.data}: no cell has {ENOUGH} recorded seeds, so there is no spread"
            )
        borrowed = max(alike or known.values())
        source = f"other rows of {record.cell.method}" if alike else "all rows of this dataset"
        return cls(
            record, own, 2 * borrowed, f"twice the largest deviation of {source}, {borrowed:.2f}"
        )

    @property
    def low(self) -> float:
        """Lower bound of the spread."""
        return round(min(self.recorded.values.values()) - self.widening, 2)

    @property
    def high(self) -> float:
        """Upper bound of the spread."""
        return round(max(self.recorded.values.values()) + self.widening, 2)

    def text(self) -> str:
        """Return it as lines to print."""
        seeds = len(self.recorded.values)
        base = f"{seeds} seeds" if seeds > 1 else "1 seed"
        return (
            f"  recorded  AP {self.recorded.text()}; with this seed {self.record.figures.AP:.2f} "
            f"at commit {self.record.commit}\n"
            f"  spread    {self.low:.2f} to {self.high:.2f}: {base}, widened by {self.says}"
        )

    def verdict(self, found: Record) -> str:
        """Return `WITHIN`, or what is wrong."""
        known, now = _boxes(self.record), _boxes(found)
        if now != known:
            return f"OTHER DATA: {now} boxes instead of {known}"
        if self.low <= found.figures.AP <= self.high:
            return WITHIN
        return "OUTSIDE the spread"


def _row(cell: Cell) -> Cell:
    return cell.model_copy(update={"seed": 0})


def _rows(records: Iterable[Record]) -> dict[Cell, list[Record]]:
    rows: dict[Cell, list[Record]] = {}
    for record in records:
        rows.setdefault(_row(record.cell), []).append(record)
    return rows


def _boxes(record: Record) -> str:
    return (
        f"{record.training_boxes} training, {record.removed_boxes} removed and "
        f"{record.figures.annotations} test"
    )
