"""The command line: measures everything, and writes the table."""

import argparse
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from sparsedet.atomic_io import write_json, write_text
from sparsedet.config.training_config import METHODS
from sparsedet.errors import SparseDetError
from sparsedet.modeling import checkpoint
from sparsedet.runtime.resources import limit_threads, usable_cores

from .inference import inference_model, inference_times, loading_times, mining_seconds
from .rows import (
    inference_rows,
    loading_rows,
    memory_rows,
    part_rows,
    scaling_rows,
    step_rows,
    table,
    total_rows,
)
from .steps import (
    BEFORE_MINING,
    CONTIGUOUS,
    LATER_STAGE,
    PLAIN,
    Training,
    part_costs,
    total_seconds,
)
from .subprocesses import LAYOUTS, as_json, memory_of, print_memory, print_steps, step_seconds
from .timed_training import SpeedData, read_data

_RESULTS = Path(__file__).parents[1] / "results" / "speed"


def main(description: str | None = None, arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the table."""
    options = _options(description, arguments)
    try:
        data = read_data(options.data)
        limit_threads()
        if options.memory_of:
            print_memory(options.memory_of, data, options.weights, options.memory_iterations)
        elif options.threads:
            print_steps(data, options.threads, options.rounds, options.scaling_warm_up)
        else:
            _measure(options, data)
    except SparseDetError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")


def _measure(options: argparse.Namespace, data: SpeedData) -> None:
    start = time.monotonic()
    training = Training(data, options.warm_up, _say)
    steps = training.measure(options.rounds, _say)
    plain, end_to_end = training.trainers[PLAIN], training.trainers[BEFORE_MINING]
    staged = training.trainers[LATER_STAGE]
    models = {
        PLAIN: inference_model(plain),
        "staged": inference_model(staged),
        "end-to-end": inference_model(end_to_end),
        CONTIGUOUS: inference_model(plain, CHANNELS_LAST=False),
    }
    inference = inference_times(models, data, options.test_images, _say)
    mining = mining_seconds(*models["staged"], data, options.test_images)
    loading = loading_times(data, options.rounds)
    with TemporaryDirectory() as folder:
        weights = _weights(training, Path(folder))
        memory = {}
        for method, file in weights.items():
            _say(f"memory of {method}")
            memory[method] = memory_of(method, options.data, file, options.memory_iterations)
    mining_all = mining * len(data.train.images)
    totals = total_seconds(steps.seconds, staged.config, mining=mining_all)
    classes = len(data.train.categories)
    costs = part_costs(steps.seconds, classes=classes, mining=mining_all)
    scaled = {}
    for layout in LAYOUTS:
        _say(f"steps in {layout}")
        scaled[layout] = step_seconds(layout, options.data, options.rounds)
    rows = [
        *step_rows(steps),
        *total_rows(totals, staged.config.solver.max_iter),
        *part_rows(costs, staged.config.solver.max_iter),
        *inference_rows(inference),
        *memory_rows(memory),
        *loading_rows(loading, steps.seconds[PLAIN]),
        *scaling_rows(scaled),
    ]
    machine = {
        "processor": _processor(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    title = (
        f"{data.name}: {machine['threads']} threads on {machine['cores']} cores, "
        f"{options.rounds} rounds, torch {machine['torch']}"
    )
    text = table(rows, title)
    _say("")
    print(text)
    write_text(options.results / "speed.md", text)
    figures = {
        "machine": machine,
        "seconds": {
            "all": time.monotonic() - start,
            "step": steps.seconds,
            "training": totals,
            "inference": inference.seconds,
            "mining an image": mining,
            "loading a batch": loading,
            "step by processes and threads": as_json(scaled),
        },
        "staged as a ratio to itself without a part": costs,
        "detections per image": inference.detections,
        "memory": {method: asdict(one) for method, one in memory.items()},
        "rows": [asdict(row) for row in rows],
    }
    write_json(options.results / "speed.json", figures, indent=1)


def _options(description: str | None, arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--warm-up", type=int, default=60, help="steps before anything is timed")
    parser.add_argument("--rounds", type=int, default=60, help="timed steps of each kind")
    parser.add_argument("--test-images", type=int, default=72, help="to detect on")
    parser.add_argument("--memory-iterations", type=int, default=24)
    parser.add_argument("--results", type=Path, default=_RESULTS)
    # Options with which the script runs itself in other processes.
    parser.add_argument("--memory-of", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--scaling-warm-up", type=int, default=10, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _weights(training: Training, folder: Path) -> dict[str, Path]:
    """Write initial weights for each method's runs, with which mining finds something."""
    files = {}
    for method, variant in {
        "plain": PLAIN,
        "staged": PLAIN,
        "end-to-end": BEFORE_MINING,
    }.items():
        files[method] = folder / f"{method}.pth"
        state = training.trainers[variant].model.state_dict()
        checkpoint.save({"model": state}, files[method])
    return files


def _processor() -> str:
    """Return the processor's name from Linux."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _say(text: str) -> None:
    """Show the current step, on a line of its own in a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
