"""The benchmarks page shows the reports' figures: every finished row, and no others."""

import json
import re
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.accuracy.record import read_records

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "benchmarks/results"
SEEDS = 3
HEAD = (
    "| boxes removed | plain | augmented | staged | staged - augmented, AP (seeds) "
    "| end-to-end (one seed) |"
)
PARTS = "| part of `staged` |"
COST = "| | plain | staged | end-to-end |"

PAGE = (ROOT / "docs/benchmarks.md").read_text()
REPORT = json.loads((RESULTS / "accuracy.json").read_text())
SPEED = json.loads((RESULTS / "speed/speed.json").read_text())


def shown(head: str) -> dict[str, list[str]]:
    """The rows of the page's table with this head, by their first column."""
    lines = PAGE[PAGE.index(head) :].split("\n\n")[0].splitlines()[2:]
    rows = [[part.strip() for part in line.strip("|").split("|")] for line in lines]
    return {name: figures for name, *figures in rows}


def test_the_page_shows_the_figures_of_the_report() -> None:
    finished = {
        (section["data"], row["drop"]): row
        for section in REPORT["sections"]
        for row in section["rows"]
        if row["recipe"] == "random" and len(seeds_of(row)) >= SEEDS
    }
    assert finished
    rows = {place(name): figures for name, figures in shown(HEAD).items()}
    assert rows == {
        where: [
            *(means(row, method) for method in ("plain", "augmented", "staged")),
            difference(row["as_published"]["AP"]["staged - augmented"]),
            means(row, "end-to-end"),
        ]
        for where, row in finished.items()
    }


def test_the_page_names_the_first_and_the_last_commit() -> None:
    first, *_, last = sorted(read_records(RESULTS / "cells"), key=lambda record: record.date)
    assert f"{first.commit} to {last.commit}" in PAGE.replace("\n", " ")


def test_the_page_shows_what_the_parts_are_worth() -> None:
    worth = [parts_of(section) for section in REPORT["sections"] if section["comparisons"]]
    costs = SPEED["staged as a ratio to itself without a part"]
    (names,) = {
        ("nothing mined", *(part["variant"] for part in section["comparisons"]))
        for section in REPORT["sections"]
        if section["comparisons"]
    }
    # A dash: not measured.
    columns = [*worth, [f"{costs[name]:.2f}" if name in costs else "-" for name in names]]
    assert list(shown(PARTS).values()) == [list(part) for part in zip(*columns, strict=True)]


def parts_of(section: Any) -> list[str]:
    """Return what mining is worth on the labels of the ablations, then what each part is."""
    compared = section["comparisons"]
    (row,) = (
        row
        for row in section["rows"]
        if row["recipe"] == "random" and row["drop"] == compared[0]["drop"]
    )
    parts = [part["as_published"]["AP"]["worth"] for part in compared]
    return [difference(row["as_published"]["AP"]["staged - augmented"]), *map(difference, parts)]


def test_the_page_shows_what_the_methods_cost() -> None:
    measured = {row["what"]: row["measured"] for row in SPEED["rows"]}

    def ratios(kind: str) -> list[str]:
        return [measured[f"{kind}: {method}"].split()[0] for method in ("staged", "end-to-end")]

    def step(name: str) -> str:
        return str(measured[f"step: {name}"].split()[0])

    seconds = median(SPEED["seconds"]["step"]["plain"])
    total = "800 iterations, mining included"
    memory = measured["memory: plain"]
    assert shown(COST) == {
        "a step of the training": [
            f"1 ({seconds:.2f} s)",
            f"{step('staged, stage 1')}, later {step('staged, later stage')}",
            f"{step('end-to-end, before mining')}, mining {step('end-to-end, while mining')}",
        ],
        "800 iterations, calculated from these and mining": [
            measured[f"{total}: plain"].replace("1.00", "1"),
            *ratios(total),
        ],
        "detection, per image": [f"1 ({measured['inference: plain']})", *ratios("inference")],
        "memory above the model's": [f"1 ({memory})", *ratios("memory")],
    }


def place(name: str) -> tuple[str, float]:
    """Return the dataset and the removed share that the first column names."""
    match = re.fullmatch(r"(\w+), (\d+) %", name)
    assert match is not None, name
    return match[1].lower(), int(match[2]) / 100


def seeds_of(row: Any) -> list[str]:
    difference = row["as_published"]["AP"]["staged - augmented"]
    return [] if difference is None else list(difference["seeds"])


def means(row: Any, method: str) -> str:
    published = row["as_published"]
    ap, ap50 = (published[name][method]["mean"] for name in ("AP", "AP50"))
    return f"{ap:.1f} / {ap50:.1f}"


def difference(figure: Any) -> str:
    """As the report shows it; a dash where nothing is trained yet."""
    if figure is None:
        return "-"
    spread = "" if figure["deviation"] is None else f" ± {figure['deviation']:.1f}"
    return f"{figure['mean']:+.1f}{spread} ({len(figure['seeds'])})"
