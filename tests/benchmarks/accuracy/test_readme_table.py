"""The README shows the figures of the report: of every finished row, and no others."""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
SEEDS = 3
HEAD = "| boxes removed | plain | staged | difference in AP (seeds) |"


def shown() -> dict[str, list[str]]:
    """The rows of the README's table, by what was removed of which data."""
    text = (ROOT / "README.md").read_text()
    lines = text[text.index(HEAD) :].split("\n\n")[0].splitlines()[2:]
    rows = [[part.strip() for part in line.strip("|").split("|")] for line in lines]
    return {name: figures for name, *figures in rows}


def test_the_readme_shows_the_figures_of_the_report() -> None:
    report = json.loads((ROOT / "benchmarks/results/accuracy.json").read_text())
    finished = {
        (section["data"], row["drop"]): row
        for section in report["sections"]
        for row in section["rows"]
        if row["recipe"] == "random" and len(seeds_of(row)) == SEEDS
    }
    assert finished
    rows = {place(name): figures for name, figures in shown().items()}
    assert rows == {
        where: [means(row, "plain"), means(row, "staged"), difference(row)]
        for where, row in finished.items()
    }


def place(name: str) -> tuple[str, float]:
    """Return the dataset and the removed share that the first column names."""
    match = re.fullmatch(r"(\w+), (\d+) %", name)
    assert match is not None, name
    return match[1].lower(), int(match[2]) / 100


def seeds_of(row: Any) -> list[str]:
    difference = row["as_published"]["AP"]["staged - plain"]
    return [] if difference is None else list(difference["seeds"])


def means(row: Any, method: str) -> str:
    published = row["as_published"]
    ap, ap50 = (published[name][method]["mean"] for name in ("AP", "AP50"))
    return f"{ap:.1f} / {ap50:.1f}"


def difference(row: Any) -> str:
    ap = row["as_published"]["AP"]["staged - plain"]
    return f"{ap['mean']:+.1f} ± {ap['deviation']:.1f} ({len(ap['seeds'])})"
