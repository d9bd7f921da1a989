"""AP against minutes of training: which configuration to take for 3, 10 or 30 minutes on a CPU.

    python benchmarks/backbones.py --data DIR [--minutes 3 10 30] [--configs NAME ...] [--list]

DIR holds `train.json`, `test.json` (COCO files with all boxes) and `images/`. A cell is a
configuration, a number of minutes and a seed: half of the boxes are removed (`--drop`), a model is
trained as `sparsedet train --minutes` does, by the time that a step takes on this machine, and
measured on the test images. What else runs on the machine counts: measure on an idle one, or let
the iterations follow from shorter cells that were (`--as 10`).

Measured cells are kept in `benchmarks/results/backbones/DATA/` and not trained again; one that was
interrupted resumes in `build/backbones/`. The table is written after every cell. A configuration
whose weights can't be had here is left out, and the table says why.
"""

import argparse
import shutil
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from sparsedet import __version__
from sparsedet.annotations import Dataset, check_images, read_coco
from sparsedet.atomic_io import read_json, write_json, write_text
from sparsedet.config.training_config import load_config, read_config
from sparsedet.errors import ConfigError, SparseDetError
from sparsedet.modeling.weights.pretrained import fetch_weights
from sparsedet.run_folder import RunFolder
from sparsedet.sparsify import load_recipe, remove_boxes
from sparsedet.training.engine.metrics import read_metrics
from sparsedet.training.engine.time_budget import in_minutes, with_iterations
from sparsedet.training.engine.train import run_training, start_run
from sparsedet.training.evaluation.average_precision import evaluate_run

CONFIGS = ("lite0_fpn", "lite1_fpn", "lite2_fpn", "mobilenet_fpn")
"""Those for CPUs, the cheapest network first."""
MINUTES = (3.0, 10.0, 30.0)
_RESULTS = Path(__file__).parent / "results" / "backbones"
_WORK = Path(__file__).parents[1] / "build" / "backbones"
_ALIKE = 0.5
"""Points of AP within which the smaller network is the one to take."""


@dataclass(frozen=True)
class Cell:
    """A training."""

    config: str
    minutes: float
    seed: int

    @property
    def key(self) -> str:
        """Its file name."""
        return f"{self.config}-{self.minutes:g}min-s{self.seed}"


@dataclass(frozen=True)
class Data:
    """What all cells train on, and are measured on."""

    name: str
    source: Path
    train: Dataset
    test: Dataset
    images: Path
    drop: float
    method: str
    overrides: Sequence[str]


def measure(cell: Cell, data: Data, scratch: Path, iterations: int | None = None) -> dict[str, Any]:
    """Train a cell, or resume it, and return its figures.

    Args:
        cell: what to train.
        data: what it is trained on.
        scratch: the folder of its run.
        iterations: of the training; None: as many as fit into its minutes on this machine.

    Raises:
        ConfigError: when its weights can't be had.
    """
    run = RunFolder(scratch / "run")
    if not run.info_file.exists():
        config = load_config(cell.config, data.overrides)
        sparse, _ = remove_boxes(data.train, load_recipe("random").with_drop(data.drop), cell.seed)
        if iterations:
            config = with_iterations(config, iterations)
        else:
            config = in_minutes(
                config,
                cell.minutes,
                sparse,
                data.images,
                method=data.method,
                seed=cell.seed,
                device="cpu",
                say=lambda line: print(f"{cell.key}: {line}", flush=True),
            )
        start_run(
            config,
            run,
            sparse,
            data.images,
            source=data.source,
            method=data.method,
            seed=cell.seed,
            device="cpu",
        )
    run_training(run)
    config = read_config(run.config)
    begin = time.monotonic()
    result = evaluate_run(run, config, data.test, data.images, device="cpu")
    seconds = time.monotonic() - begin
    figures = {
        "config": cell.config,
        "minutes": cell.minutes,
        "seed": cell.seed,
        "method": data.method,
        "drop": data.drop,
        "AP": result.ap,
        "AP50": result.ap50,
        "iterations": config.solver.max_iter,
        "minutes of steps": _seconds_of_steps(run) / 60,
        "threads": torch.get_num_threads(),
        "versions": {"sparsedet": __version__, "torch": torch.__version__},
    }
    if iterations is None:
        # Otherwise the machine may be busy.
        figures["test, ms per image"] = 1000 * seconds / len(data.test.images)
    return figures


def _seconds_of_steps(run: RunFolder) -> float:
    """Return the seconds that a run's steps took, those before an interruption included."""
    seconds, before = 0.0, 0
    for line in read_metrics(run.metrics):
        if "seconds_per_iteration" in line:
            seconds += line["seconds_per_iteration"] * (line["iteration"] - before)
            before = line["iteration"]
    return seconds


def report(name: str, rows: Sequence[Mapping[str, Any]], missing: Mapping[str, str]) -> str:
    """Return the figures as Markdown: AP by configuration and minutes, and what to take."""
    minutes = sorted({row["minutes"] for row in rows})
    means: dict[tuple[str, float], float] = {}
    cells = defaultdict(list)
    for row in rows:
        cells[row["config"], row["minutes"]].append(row)
    lines = [f"# AP against minutes of training: {name}", ""]
    if rows:
        first = rows[0]
        lines += [
            f"`{first['method']}`, {first['drop']:.0%} of the boxes removed, {first['threads']} "
            "threads; AP / AP50 (iterations), means of the seeds.",
            "",
            f"| | {' | '.join(f'{m:g} min' for m in minutes)} | test, ms per image |",
            "|---|" + "---|" * (len(minutes) + 1),
        ]
    for config in dict.fromkeys([*CONFIGS, *(row["config"] for row in rows)]):
        own = [row for row in rows if row["config"] == config]
        if not own:
            continue
        texts = []
        for budget in minutes:
            found = cells[config, budget]
            if not found:
                texts.append("")
                continue
            ap, ap50, count = (
                fmean(row[key] for row in found) for key in ("AP", "AP50", "iterations")
            )
            means[config, budget] = ap
            texts.append(f"{ap:.1f} / {ap50:.1f} ({count:.0f})")
        speeds = [row["test, ms per image"] for row in own if "test, ms per image" in row]
        speed = f"{fmean(speeds):.0f}" if speeds else ""
        lines.append(f"| `{config}` | {' | '.join(texts)} | {speed} |")
    lines.append("")
    lines += [f"- {budget:g} minutes: take `{best(means, budget)}`" for budget in minutes]
    lines += [f"- `{config}` was not measured: {reason}" for config, reason in missing.items()]
    return "\n".join(lines) + "\n"


def best(means: Mapping[tuple[str, float], float], minutes: float) -> str:
    """Return the configuration to take: of those that are about as good, the smallest network."""
    own = {config: ap for (config, budget), ap in means.items() if budget == minutes}
    # Cells stand in the order of the networks' sizes.
    return next(config for config, ap in own.items() if ap >= max(own.values()) - _ALIKE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the cells that are missing, the short ones first; return the exit code."""
    options = _options(arguments)
    cells = [
        Cell(config, minutes, seed)
        for minutes in sorted(options.minutes)
        for seed in options.seeds
        for config in options.configs
    ]
    try:
        data = _data(options)
        results = options.results / data.name
        known = {cell: results / f"{cell.key}.json" for cell in cells}
        if options.list:
            for cell, path in known.items():
                print(f"{'measured' if path.exists() else 'missing':<9} {cell.key}")
            return 0
        missing = _without_weights(options.configs, data)
        for cell, path in known.items():
            if cell.config not in missing and not path.exists():
                scratch = options.work / data.name / cell.key
                figures = measure(cell, data, scratch, _iterations(cell, options.as_, results))
                write_json(path, figures, indent=1)
                shutil.rmtree(scratch)
                print(f"{cell.key}: AP {figures['AP']:.1f}", flush=True)
            rows = [read_json(file) for file in sorted(results.glob("*.json"))]
            write_text(options.results / f"{data.name}.md", report(data.name, rows, missing))
    except SparseDetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same call resumes it", file=sys.stderr)
        return 130
    print((options.results / f"{data.name}.md").read_text())
    return 0


def _iterations(cell: Cell, measured: float | None, results: Path) -> int | None:
    """Return a cell's iterations at the pace of the one of `measured` minutes; None: unknown.

    Raises:
        ConfigError: when that one was not measured.
    """
    if measured is None:
        return None
    path = results / f"{replace(cell, minutes=measured).key}.json"
    if not path.exists():
        raise ConfigError(f"--as {measured:g}: {path} is missing; measure that cell first")
    iterations: int = read_json(path)["iterations"]
    return round(iterations * cell.minutes / measured)


def _without_weights(configs: Sequence[str], data: Data) -> dict[str, str]:
    """Return the configurations whose starting weights can't be had, and why."""
    missing = {}
    for config in configs:
        node = load_config(config, data.overrides).node
        try:
            fetch_weights(node)
        except ConfigError as error:
            # Without the ways out of it.
            missing[config] = str(error).split(";")[0]
            print(f"{config}: left out ({error})", file=sys.stderr, flush=True)
    return missing


def _data(options: argparse.Namespace) -> Data:
    train, test = (read_coco(options.data / f"{part}.json") for part in ("train", "test"))
    images = options.data / "images"
    for dataset in (train, test):
        check_images(dataset, images)
    return Data(
        options.data.resolve().name,
        options.data / "train.json",
        train,
        test,
        images,
        options.drop,
        options.method,
        options.set or [],
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--minutes", type=float, nargs="+", default=MINUTES)
    parser.add_argument("--configs", nargs="+", default=CONFIGS, metavar="NAME")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--drop", type=float, default=0.5, help="share of the boxes removed")
    parser.add_argument("--method", default="staged")
    parser.add_argument("--list", action="store_true", help="say which cells are measured")
    parser.add_argument(
        "--as",
        dest="as_",
        type=float,
        metavar="MINUTES",
        help="don't time steps: iterations in proportion to the measured cells of these minutes",
    )
    parser.add_argument("--results", type=Path, default=_RESULTS, metavar="DIR")
    parser.add_argument("--work", type=Path, default=_WORK, metavar="DIR")
    parser.add_argument("--set", nargs="+", metavar="KEY VALUE", help="configuration keys")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    # Deprecations inside torch and detectron2 say nothing about the figures.
    warnings.filterwarnings("ignore", module=r"torch|detectron2")
    sys.exit(main())
