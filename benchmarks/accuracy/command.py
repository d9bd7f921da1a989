"""The command line: selects cells, trains them one at a time, and records them."""

import argparse
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from sparsedet.errors import SparseDetError, TrainingError
from sparsedet.training.engine.callbacks import StageProgress

from .canary import WITHIN, Expected, choose
from .data import DIGITS, FullData, digit_scenes, inner, read_folder
from .plan import PLANS, Cell, Plan, cells
from .record import code_commit, read_record, read_records, write_record
from .report import write_report
from .training import run_configuration, train_cell

_RESULTS = Path(__file__).parents[1] / "results"
_LOCK = ".lock"


def main(description: str | None = None, arguments: Sequence[str] | None = None) -> None:
    """Train missing cells, and write the tables."""
    options = _options(description, arguments)
    try:
        data = _data(options)
        plan = _plan(data.name, options)
        planned = cells(data.name, plan, iterations=options.iterations, config=options.config)
        work = _Work(options, data, planned)
        if options.list:
            work.list_cells()
            return
        with _one_at_a_time(work.cells):
            failed = work.canary() if options.canary else work.train()
    except SparseDetError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same call resumes it")
    if failed:
        sys.exit(f"error: {failed} cells {'outside the spread' if options.canary else 'failed'}")


class _Work:
    """The selected cells of a dataset, and the actions on them."""

    def __init__(
        self, options: argparse.Namespace, data: FullData, planned: Sequence[Cell]
    ) -> None:
        self.data = data
        self.planned = planned
        self.results: Path = options.results
        self.cells = self.results / "cells"
        self.scratch: Path = options.work
        self.keep: bool = options.keep
        self.again: bool = options.again
        self.time_limit: float = options.time_limit
        self.chosen = [cell for cell in planned if options.only in cell.key]
        if not self.chosen:
            raise SparseDetError(f"--only {options.only}: no cell's key contains that; see --list")
        # The commit of the code as loaded, whatever is edited or committed while trainings run.
        self.commit = code_commit()
        # All of them now: an invalid key must not come up after hours.
        for cell in self.chosen:
            run_configuration(cell, len(data.train.categories))
            data.sparse(cell)

    def list_cells(self) -> None:
        """Print which cells are recorded, at which commit, and which are not."""
        for cell in self.chosen:
            record = read_record(self.cells, cell)
            started = (self.scratch / cell.key).exists()
            state = record.commit if record else "started" if started else "missing"
            print(f"{state:<15} {cell.key}")

    def train(self) -> int:
        """Train unrecorded cells, in order; return the number of failures."""
        start = time.monotonic()
        failed = 0
        left = [cell for cell in self.chosen if self.again or not read_record(self.cells, cell)]
        print(f"{self.data.name}: {len(self.chosen)} cells, {len(left)} to train", flush=True)
        self._write_report()
        for number, cell in enumerate(left, start=1):
            if time.monotonic() - start >= 60 * self.time_limit:
                print(f"time limit: {len(left) - number + 1} cells are left")
                break
            try:
                self._train(cell, f"{number}/{len(left)}")
            except TrainingError as error:
                failed += 1
                print(f"{cell.key}: {error}", file=sys.stderr, flush=True)
            self._write_report()
        return failed

    def _train(self, cell: Cell, place: str) -> None:
        folder = self.scratch / cell.key
        record = train_cell(cell, self.data, self.commit, folder, _show)
        write_record(record, self.cells)
        if not self.keep:
            shutil.rmtree(folder)
        figures = record.figures
        print(
            f"[{place}] {cell.key}  AP {figures.AP:.1f}  AP50 {figures.AP50:.1f}  "
            f"({record.seconds:.0f} s)",
            flush=True,
        )

    def _write_report(self) -> None:
        write_report(read_records(self.cells), self.planned, self.results)

    def canary(self) -> int:
        """Train recorded cells again; return how many are outside the recorded spread.

        Cells finished by an interrupted call are evaluated again, not trained again.
        """
        records = read_records(self.cells)
        chosen = choose(self.chosen, records)
        scratch = self.scratch / "canary"
        failed = 0
        for number, record in enumerate(chosen, start=1):
            expected = Expected.of(record, records)
            print(f"[{number}/{len(chosen)}] {record.cell.key}\n{expected.text()}", flush=True)
            found = train_cell(
                record.cell, self.data, self.commit, scratch / record.cell.key, _show
            )
            verdict = expected.verdict(found)
            failed += verdict != WITHIN
            print(f"  now       AP {found.figures.AP:.2f} at commit {found.commit}: {verdict}")
        if not self.keep:
            shutil.rmtree(scratch)
        return failed


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Keep other calls from training; the operating system releases the lock with the process.

    Raises:
        SparseDetError: when another call is training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / _LOCK, timeout=0):
            yield
    except Timeout:
        raise SparseDetError(
            f"{folder}: another call is training cells; wait for it to end, or stop it"
        ) from None


def _data(options: argparse.Namespace) -> FullData:
    if options.data == Path(DIGITS) and not options.data.exists():
        data = digit_scenes(options.work / "scenes")
    else:
        data = read_folder(options.data)
    return inner(data) if options.inner else data


def _plan(name: str, options: argparse.Namespace) -> Plan:
    plan = PLANS.get(name, Plan())
    given = {"drops": options.drops, "seeds": options.seeds}
    chosen = {key: value for key, value in given.items() if value is not None}
    return replace(plan, more_seeds=(), **chosen) if chosen else plan


def _options(description: str | None, arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="accuracy.py",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help=f"a folder, or {DIGITS}")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="print what is recorded, and stop")
    what.add_argument(
        "--canary", action="store_true", help="check that the code still gives the recorded figures"
    )
    what.add_argument("--again", action="store_true", help="train recorded cells, too")
    parser.add_argument(
        "--inner",
        action="store_true",
        help="test on a quarter of the training images instead, to choose settings",
    )
    parser.add_argument("--only", default="", help="only cells whose key contains this")
    parser.add_argument(
        "--time-limit",
        type=float,
        default=float("inf"),
        help="minutes; no cell is begun later",
    )
    parser.add_argument("--iterations", type=int, default=800, help="of every training, in total")
    parser.add_argument("--config", default="lite0_fpn")
    parser.add_argument(
        "--drops", type=_shares, help="shares to remove instead of the plan's, as in 0,0.5"
    )
    parser.add_argument("--seeds", type=_numbers, help="instead of the plan's, as in 1,2")
    parser.add_argument("--results", type=Path, default=_RESULTS)
    parser.add_argument("--work", type=Path, default=Path("artifacts/accuracy"))
    parser.add_argument("--keep", action="store_true", help="keep the run folders in --work")
    return parser.parse_args(arguments)


def _shares(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected shares, as in 0,0.5") from None


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected whole numbers, as in 1,2") from None


def _show(progress: StageProgress) -> None:
    if sys.stderr.isatty():
        loss = progress.losses["total_loss"]
        end = "\n" if progress.iteration == progress.iterations else "\r"
        print(
            f"{progress.stage} {progress.iteration}/{progress.iterations} loss {loss:.3f} ",
            end=end,
            file=sys.stderr,
        )
