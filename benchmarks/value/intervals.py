"""The command line of the benchmark on intervals, and its table."""

import argparse
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import mean
from typing import Any

from sparsedet.atomic_io import read_json, write_text

from .loop_arm import loop
from .setting import Setting, make_setting

ARMS = ("ours", "sure-first")
DROPS = (0.3, 0.5, 0.7)
RECIPES = ("random", "skip-small", "skip-crowded")
BUDGET = 0.2
GOAL = 0.95
_RESULTS = Path(__file__).parents[1] / "results" / "intervals"


def main(description: str) -> None:
    """Compute missing rounds, then the table."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--data", nargs="+", required=True, help="folders, or digits")
    parser.add_argument("--arm", choices=ARMS, default=ARMS[0])
    parser.add_argument("--iterations", type=int, default=150, help="of each training")
    parser.add_argument("--work", type=Path, default=Path("artifacts/intervals"))
    parser.add_argument("--results", type=Path, default=_RESULTS)
    options = parser.parse_args()
    for recipe, drop, seed in _grid():
        for data in options.data:
            setting = make_setting(
                data,
                options.work,
                drop=drop,
                seed=seed,
                iterations=options.iterations,
                recipe=recipe,
            )
            figures = options.results / "rounds"
            if not (figures / f"{setting.name}-{drop:g}-s{seed}-{options.arm}-r1.json").exists():
                print(f"{setting.name}, {drop:.0%} removed, seed {seed}", flush=True)
                _round(setting, options.arm, figures)
    files = sorted((options.results / "rounds").glob("*.json"))
    text = table([{**read_json(file), "name": file.stem} for file in files])
    write_text(options.results / "intervals.md", text)
    print(text)


def _round(setting: Setting, arm: str, figures: Path) -> None:
    if arm == "ours":
        loop(setting, arm, figures, _nothing, plan=((BUDGET, GOAL),))
    else:
        loop(setting, arm, figures, _nothing, plan=((1.0, GOAL),), mode="auto", sure_first=True)


def _nothing(line: str) -> None:
    """Say nothing."""


def _grid() -> list[tuple[str, float, int]]:
    """Return recipe, share of removed boxes and seed of each round on a dataset."""
    grid = [(recipe, drop, 1) for drop in DROPS for recipe in RECIPES]
    return [*grid, ("random", DROPS[1], 2)]


def table(rounds: Iterable[dict[str, Any]]) -> str:
    """Return all rounds, and the coverage of the intervals, as Markdown.

    Args:
        rounds: results of `value.figures`, each with its `name`.
    """
    lines = [
        "# Does the interval hold the truth?",
        "",
        "Made by `benchmarks/intervals.py`: 90 % intervals of the share of objects that have a "
        "box, after one round.",
        "",
        "| round | truth | estimate | interval | holds it |",
        "|---|---|---|---|---|",
    ]
    groups: dict[str, list[tuple[bool, float]]] = defaultdict(list)
    for one in rounds:
        estimate, truth = one["estimate"], one["share"]
        holds = estimate["low"] <= truth <= estimate["high"]
        width = 100 * (estimate["high"] - estimate["low"])
        data = one["name"].partition("-")[0]
        arm = next(arm for arm in ARMS if f"-{arm}-r" in one["name"])
        for group in (arm, f"{arm}, {data}"):
            groups[group].append((holds, width))
        lines.append(
            f"| {one['name']} | {truth:.1%} | {estimate['share']:.1%} | "
            f"{100 * estimate['low']:.0f} to {100 * estimate['high']:.0f} | "
            f"{'yes' if holds else 'no'} |"
        )
    lines.append("")
    for group, found in sorted(groups.items()):
        lines.append(
            f"- {group}: {sum(holds for holds, _ in found)} of {len(found)} hold the truth, mean "
            f"width {mean(width for _, width in found):.1f} points"
        )
    return "\n".join(lines) + "\n"
