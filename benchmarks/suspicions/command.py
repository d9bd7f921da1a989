"""The command line of the benchmark on wrong labels."""

import argparse
import sys
from pathlib import Path

from sparsedet.atomic_io import write_json, write_text
from sparsedet.errors import SparseDetError

from .detecting import read_data, train_and_detect
from .figures import ALL, areas
from .objectlab import objectlab
from .ours import ours
from .spoiling import SHARES, spoil

_RESULTS = Path(__file__).parents[1] / "results" / "suspicions"


def main(description: str) -> None:
    """Print and save the areas for one dataset."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--data", required=True, help="a folder, or digits")
    parser.add_argument("--method", choices=("plain", "staged"), default="plain")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=600)
    parser.add_argument("--work", type=Path, default=Path("artifacts/suspicions"))
    parser.add_argument("--results", type=Path, default=_RESULTS)
    options = parser.parse_args()
    try:
        _compare(options)
    except SparseDetError as error:
        sys.exit(f"error: {error}")


def _compare(options: argparse.Namespace) -> None:
    name, dataset, images = read_data(options.data, options.work)
    spoiled = spoil(dataset, options.seed)
    setting = f"{name}-{options.method}-{options.iterations}-s{options.seed}"
    found = train_and_detect(
        spoiled.dataset,
        images.resolve(),
        (options.work / setting).resolve(),
        method=options.method,
        seed=options.seed,
        iterations=options.iterations,
    )
    own = areas(spoiled, ours(spoiled.dataset, found.low))
    usual, low = (
        areas(spoiled, objectlab(spoiled.dataset, detections))
        for detections in (found.usual, found.low)
    )
    theirs = {kind: max(usual[kind], low[kind]) for kind in usual}
    counts = {kind: list(spoiled.faults.values()).count(kind) for kind in SHARES}
    counts["double"] -= len(spoiled.twins)  # a box and its copy are one fault
    counts[ALL] = sum(counts.values())
    lines = [
        f"# {setting}: {len(spoiled.dataset.boxes)} boxes on {len(dataset.images)} images",
        "",
        "| fault | planted | sparsedet | ObjectLab |",
        "|---|---|---|---|",
        *(f"| {k} | {counts[k]} | {own[k]:.1f} | {theirs[k]:.1f} |" for k in (*SHARES, ALL)),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    write_text(options.results / f"{setting}.md", text)
    write_json(
        options.results / f"{setting}.json",
        {"planted": counts, "sparsedet": own, "ObjectLab": theirs},
        indent=1,
    )
