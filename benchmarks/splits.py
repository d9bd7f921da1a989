"""The cost of splits on a file of COCO's size, relative to reading and writing it with orjson.

    python benchmarks/splits.py [--images 118287] [--boxes 860001] [--polygons] [--runs 3]

Makes a file with the statistics of COCO train2017 (see `coco_sized`), then runs each of these in a
separate process, a few times in turn, and takes the fastest:

- the base: orjson parses the file, and writes it again;
- `sparsedet split`, for recipes of every kind;
- `sparsedet compare` of the file with the first recipe's result.

Seconds are of the whole process, including the start of Python; memory is its peak resident set.
Writes the table to `benchmarks/results/splits/`.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from coco_sized import make_coco

from sparsedet.atomic_io import write_json, write_text

RESULTS = Path(__file__).parent / "results" / "splits"
SPLITS = {
    "split random": ["--recipe", "random"],
    "split hard": ["--recipe", "hard"],
    "split skip-crowded": ["--recipe", "skip-crowded"],
    "split random, with 20 % for validation": ["--recipe", "random", "--val", "0.2"],
}
TARGETS = {"split": (3.0, 2.0), "compare": (4.0, 2.0)}
"""Maximum ratio of seconds and memory to the base."""

ORJSON = """
import sys, orjson
from pathlib import Path
content = orjson.loads(Path(sys.argv[1]).read_bytes())
Path(sys.argv[2]).write_bytes(orjson.dumps(content))
"""


@dataclass(frozen=True)
class Cost:
    """Time and memory of a process."""

    seconds: float
    megabytes: float
    """Peak resident set."""


def measure(command: Sequence[str]) -> Cost:
    """Run a command to completion; return its cost."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: ended with {process.returncode}")
    return Cost(seconds, _megabytes(used))


def _megabytes(used: resource.struct_rusage) -> float:
    # Linux counts kilobytes, macOS bytes.
    return used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def commands(full: Path, work: Path) -> dict[str, list[str]]:
    """Return the commands to measure, by name; the first is the base."""
    sparsedet = [sys.executable, "-m", "sparsedet"]
    sparse = work / "sparse.json"
    return {
        "orjson: parse and write": [sys.executable, "-c", ORJSON, str(full), str(work / "copy")],
        **{
            name: [*sparsedet, "split", str(full), *options, "-o", str(work / "split")]
            for name, options in SPLITS.items()
        },
        "compare": [*sparsedet, "compare", str(full), str(sparse), "-o", str(work / "page.html")],
    }


def report(costs: dict[str, Cost], title: str) -> str:
    """Return the costs as a Markdown table."""
    base, *_ = costs.values()
    lines = [
        f"# {title}",
        "",
        "| | seconds | x base | at most | peak memory (MB) | x base | at most |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, cost in costs.items():
        time_target, memory_target = TARGETS.get(name.split()[0], ("", ""))
        lines.append(
            f"| {name} | {cost.seconds:.1f} | {cost.seconds / base.seconds:.2f} | {time_target} "
            f"| {cost.megabytes:.0f} | {cost.megabytes / base.megabytes:.2f} | {memory_target} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=118_287)
    parser.add_argument("--boxes", type=int, default=860_001)
    parser.add_argument("--polygons", action="store_true", help="with a segmentation for each box")
    parser.add_argument("--runs", type=int, default=3, help="of each; the fastest counts")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        full = work / "full.json"
        full.write_bytes(
            orjson.dumps(
                make_coco(options.images, options.boxes, seed=1, polygons=options.polygons)
            )
        )
        megabytes = full.stat().st_size / 1e6
        measured: dict[str, list[Cost]] = {}
        for _ in range(options.runs):
            for name, command in commands(full, work).items():
                measured.setdefault(name, []).append(measure(command))
                if (work / "split").exists():
                    if not (work / "sparse.json").exists():
                        (work / "split" / "train.json").rename(work / "sparse.json")
                    shutil.rmtree(work / "split")
    costs = {
        name: Cost(min(cost.seconds for cost in runs), max(cost.megabytes for cost in runs))
        for name, runs in measured.items()
    }
    kind = "with polygons" if options.polygons else "boxes only"
    title = (
        f"{options.images:,} images, {options.boxes:,} boxes, {kind}: {megabytes:.0f} MB; "
        f"the fastest of {options.runs} runs"
    )
    text = report(costs, title)
    print(text)
    name = "polygons" if options.polygons else "boxes"
    write_text(RESULTS / f"{name}.md", text)
    write_json(
        RESULTS / f"{name}.json", {key: asdict(cost) for key, cost in costs.items()}, indent=2
    )


if __name__ == "__main__":
    main()
