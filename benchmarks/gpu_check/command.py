"""The command line: runs the parts, the most important first, and records their results."""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torchvision

from sparsedet import __version__
from sparsedet.errors import SparseDetError
from sparsedet.runtime.resources import usable_cores

from . import agreement, loading, methods, resuming, throughput
from .record import NOT_RUN, Figures, Part, Record
from .setting import CheckFailed, Data, Deadline, OutOfTimeError, Setting, describe

_RESULTS = Path(__file__).parents[1] / "results" / "gpu"
_AFTER_METHODS = 75.0
"""Seconds to reserve for the parts after the trainings."""
_ITERATIONS, _QUICK_ITERATIONS = 50, 12
"""Iterations of the interrupted training."""

Measure = Callable[[Figures, Callable[[], None]], None]
"""Adds figures, and calls the function after each."""


def main(description: str | None = None, arguments: Sequence[str] | None = None) -> int:
    """Run the check; return the exit code."""
    options = _options(description, arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device: nothing to check", file=sys.stderr)
        return 2
    deadline = Deadline(60 * options.budget)
    try:
        with TemporaryDirectory() as folder:
            setting = Setting(
                device=options.device,
                config=options.config,
                weights="" if options.weights is None else str(options.weights.resolve()),
                quick=options.quick,
                deadline=deadline,
                scratch=Path(folder),
                data=[Data.read(path) for path in options.data],
            )
            return _run(setting, options.results)
    except SparseDetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _options(description: str | None, arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, nargs="+", default=[], metavar="DIR")
    parser.add_argument("--weights", type=Path, metavar="FILE")
    parser.add_argument(
        "--config", default="r50_fpn", help="configuration to measure (default: %(default)s)"
    )
    parser.add_argument(
        "--budget", type=float, default=9.5, metavar="MINUTES", help="default: %(default)s"
    )
    parser.add_argument("--results", type=Path, default=_RESULTS, metavar="DIR")
    parser.add_argument(
        "--device",
        choices=["cuda", "cpu"],
        default="cuda",
        help="cpu: try the script, comparing the CPU with itself",
    )
    parser.add_argument("--quick", action="store_true", help="small images, few steps")
    return parser.parse_args(arguments)


def _run(setting: Setting, results: Path) -> int:
    scenes = setting.scenes()
    if not setting.data:
        setting = Setting(**{**vars(setting), "data": [scenes]})
    first = setting.data[0]
    iterations = _QUICK_ITERATIONS if setting.quick else _ITERATIONS
    measures: Mapping[str, Measure] = {
        "agreement": lambda found, save: found.update(agreement.first_steps(setting, scenes)),
        "throughput": lambda found, save: throughput.measure(setting, first, found, save),
        "loading": lambda found, save: loading.measure(setting, first, found, save),
        "methods": lambda found, save: methods.measure(setting, found, save, _AFTER_METHODS),
        "resuming": lambda found, save: found.update(
            resuming.interrupted_training(setting, scenes, iterations)
        ),
        "step times": lambda found, save: found.update(agreement.step_times(setting, scenes)),
    }
    record = Record(
        describe(setting.device), _about(setting), results, [Part(name) for name in measures]
    )
    print(f"device: {record.device}", flush=True)
    return run_parts(record, measures, setting.deadline)


def run_parts(record: Record, measures: Mapping[str, Measure], deadline: Deadline) -> int:
    """Run all parts within the time, even after a failure; return the exit code.

    The record is written before the first part, after each, and after each figure.
    """
    record.write()
    for part in record.parts:
        begin = time.monotonic()
        try:
            deadline.check()
            measures[part.name](part.figures, record.write)
            part.state = "ok"
        except OutOfTimeError:
            part.state = "cut short: the time was up" if part.figures else NOT_RUN
        except (CheckFailed, SparseDetError) as error:
            part.state = f"FAILED, {error}"
        part.seconds = time.monotonic() - begin
        record.write()
        print(f"{part.name}: {part.state} ({part.seconds:.0f} s)", flush=True)
    return 1 if any(part.state.startswith("FAILED") for part in record.parts) else 0


def _about(setting: Setting) -> dict[str, object]:
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": f"sparsedet {__version__} ({_commit()}), torch {torch.__version__}, "
        f"torchvision {torchvision.__version__}, CUDA {torch.version.cuda}",
        "cores": usable_cores(),
        "configuration": setting.config,
        "starting weights": Path(setting.weights).name
        or setting.configuration().node.MODEL.WEIGHTS
        or "random",
        "data": ", ".join(
            f"{data.name} ({len(data.train.images)} images)" for data in setting.data
        ),
        "quick": setting.quick,
    }


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "commit unknown"
