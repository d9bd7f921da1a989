"""Inject the faults one by one, and report the outcomes."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from sparsedet.atomic_io import write_json
from sparsedet.errors import SparseDetError

from .bench import Bench, Result
from .cases import FAULTS, Fault
from .proxy import MEANING

RESULTS = Path(__file__).parents[1] / "results" / "faults.json"

_COLUMNS = ("fault", "exits", "planned", "found", "doubled", "lost", "spare", "s")


def main(description: str | None = None, arguments: Sequence[str] | None = None) -> None:
    """Inject the chosen faults; exit with 1 if anything is duplicated or lost."""
    options = _options(description, arguments)
    chosen = [fault for fault in FAULTS if options.only in fault.key]
    if not chosen:
        sys.exit(f"error: --only {options.only}: no fault's key contains that; see --list")
    if options.list:
        for fault in chosen:
            print(f"{fault.key:<34} {MEANING[fault.kind]}")
        return
    try:
        results = _run(chosen, options)
    except SparseDetError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
    if not all(result.is_good for result in results):
        sys.exit(1)


def _run(chosen: Sequence[Fault], options: argparse.Namespace) -> Sequence[Result]:
    results = []
    start = time.monotonic()
    with TemporaryDirectory(prefix="sparsedet-faults-") as scratch:
        folder = options.work or Path(scratch)
        with Bench(folder.resolve(), options.seed).running() as bench:
            print("  ".join(_COLUMNS), flush=True)
            for fault in chosen:
                try:
                    result = bench.run(fault)
                except SparseDetError as error:
                    result = Result.not_run(fault, str(error))
                results.append(result)
                _print(result)
            writes = bench.writes
    total = summary(results)
    print(f"{total}  ({(time.monotonic() - start) / 60:.0f} min)")
    faults = [asdict(result) for result in results]
    content = {"seed": options.seed, "total": total, "writes": writes, "faults": faults}
    write_json(options.results, content, indent=1)
    return results


def summary(results: Sequence[Result]) -> str:
    """Return a line with the totals over all faults."""
    sums = {
        name: sum(getattr(result.counts, name) for result in results)
        for name in ("planned", "found", "doubled", "lost")
    }
    return f"{len(results)} faults: " + ", ".join(f"{sums[name]} {name}" for name in sums)


def _print(result: Result) -> None:
    counts = result.counts
    cells = [
        f"{result.key:<32}",
        f"{','.join(map(str, result.exits)):>9}",
        *(
            f"{value:>{len(name)}}"
            for name, value in asdict(counts).items()
            if isinstance(value, int)
        ),
        f"{result.seconds:>4.0f}",
    ]
    print("  ".join(cells), "" if result.is_good else " BAD", flush=True)
    if result.meanwhile is not None and not result.meanwhile.is_good:
        meanwhile = result.meanwhile
        print(f"    until the next run: {meanwhile.doubled} doubled, {meanwhile.lost} lost")
    for line in (*counts.notes, *result.complaints, *(f"left over: {f}" for f in result.left_over)):
        print(f"    {line}", flush=True)


def _options(description: str | None, arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="faults.py",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--list", action="store_true", help="print the faults, and stop")
    parser.add_argument(
        "--only",
        default="",
        metavar="KIND/OPERATION",
        help="only faults whose key contains this, such as late-during/push",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the boxes")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--work", type=Path, help="keep server and workspaces in this folder")
    return parser.parse_args(arguments)
