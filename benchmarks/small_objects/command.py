"""The command line of the benchmark, and its table."""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from statistics import mean

from sparsedet.atomic_io import write_text
from sparsedet.errors import SparseDetError
from sparsedet.training.engine.callbacks import StageProgress
from sparsedet.training.engine.train import choose_device

from .cells import Cell, Result, measure, measured, read_results, write_result

RESULTS = Path(__file__).parents[1] / "results" / "small_objects"
CONFIGS = ("lite0_fpn", "auto")
_SHOWN_EVERY = 20


def main(description: str | None, arguments: Sequence[str] | None = None) -> None:
    """Train and measure the cells that are not there yet, and write the table of all."""
    options = _options(description, arguments)
    try:
        run(options)
    except SparseDetError as error:
        sys.exit(f"error: {error}")


def run(options: argparse.Namespace) -> None:
    """Do what the options say."""
    cells = options.results / "cells"
    device = choose_device(options.device)
    for scale, seed, config in product(options.scales, options.seeds, options.configs):
        cell = Cell(
            data=options.data.resolve().name,
            scale=scale,
            config=config,
            seed=seed,
            method=options.method,
            drop=options.drop,
            iterations=options.iterations,
        )
        file = cells / f"{cell.key}.json"
        if measured(cell, file) is None:
            print(f"{cell.key}: training", flush=True)
            result = measure(cell, options.data, device, _show)
            write_result(result, file)
            print(f"{cell.key}: AP {result.ap}, small {result.ap_small}. {result.choice}")
    text = table(read_results(cells))
    print(text)
    write_text(options.results / "small_objects.md", text)


def table(results: Sequence[Result]) -> str:
    """Return a table in Markdown: means over the seeds."""
    groups: dict[tuple[str, int, str, str, float, int], list[Result]] = defaultdict(list)
    for result in results:
        cell = result.cell
        order = str(CONFIGS.index(cell.config) if cell.config in CONFIGS else len(CONFIGS))
        key = (cell.data, cell.scale, order + cell.config, cell.method, cell.drop, cell.iterations)
        groups[key].append(result)
    lines = [
        "# Small objects",
        "",
        "By `benchmarks/small_objects.py`: mosaics of 1, 4 and 16 images, so that objects have 1, "
        "1/2 and 1/4 of their size; means over the seeds; small: the smallest third of the test "
        "objects. Seconds are of the processor for a training, and of the clock for the detection "
        "on one mosaic.",
        "",
        "| data | objects | config | input | tiles | seeds | AP | AP50 | AP small | AP50 small "
        "| training, s | detection, s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (data, scale, config, method, drop, iterations), group in sorted(groups.items()):
        size, tile = (
            "/".join(str(value) for value in sorted(values))
            for values in ({one.size for one in group}, {one.tile for one in group})
        )
        shown = (
            f"{data}, {method}, {iterations} iterations, {drop:.0%} removed",
            "1" if scale == 1 else f"1/{scale}",
            config[1:],
            size,
            "none" if tile == "0" else tile,
            str(len(group)),
            f"{mean(one.ap for one in group):.1f}",
            f"{mean(one.ap50 for one in group):.1f}",
            f"{mean(one.ap_small for one in group):.1f}",
            f"{mean(one.ap50_small for one in group):.1f}",
            f"{mean(one.training_cpu_seconds for one in group):.0f}",
            f"{mean(one.detection_seconds for one in group):.2f}",
        )
        lines.append(f"| {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def _show(progress: StageProgress) -> None:
    if progress.iteration % _SHOWN_EVERY == 0:
        total = progress.losses["total_loss"]
        print(f"  {progress.iteration} of {progress.iterations}: loss {total:.2f}", flush=True)


def _options(description: str | None, arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scales", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--configs", nargs="+", default=list(CONFIGS))
    parser.add_argument("--method", default="staged")
    parser.add_argument("--drop", type=float, default=0.5)
    parser.add_argument("--iterations", type=int, default=400)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args(arguments)
