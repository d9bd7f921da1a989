"""Figures over seeds, and their presentation."""

import json
from pathlib import Path

import numpy as np

from benchmarks.accuracy.plan import ABLATIONS, cells
from benchmarks.accuracy.report import write_report
from benchmarks.accuracy.scoring import MinedQuality
from benchmarks.accuracy.summary import Spread
from tests.benchmarks.accuracy.records import PLAN, cell, record, table, variant


def test_mean_sample_deviation_and_paired_differences() -> None:
    plain, staged = Spread({1: 50, 2: 52, 3: 57}), Spread({1: 51, 2: 55, 4: 90})
    # Squares 9, 1 and 16 of the distances to the mean, over 3 - 1.
    assert (plain.mean, plain.deviation) == (53, round(float(np.sqrt(26 / 2)), 2))
    assert plain.text() == "53.0 ± 3.6 (3)"
    assert (staged - plain).values == {1: 1, 2: 3}
    assert (staged - plain).text(signed=True) == "+2.0 ± 1.4 (2)"
    assert Spread({2: 48.25}).text() == "48.2 (1)"
    # A table rounds the figure of the file, 81.15.
    assert Spread({1: 80.5, 2: 82.49, 3: 80.46}).text().startswith("81.2 ")
    assert Spread({}).text() == "-"
    assert Spread({2: 48.25}).as_json() == {"mean": 48.25, "deviation": None, "seeds": {"2": 48.25}}


def test_the_report_shows_figures_and_the_commits_that_they_are_of(tmp_path: Path) -> None:
    mined = {"labels": MinedQuality(boxes=20, on_removed=16, right_class=15, on_unlabelled=1)}
    records = [
        *(record(cell("plain", seed), 50 + seed, ignoring=60 + seed) for seed in (1, 2)),
        record(cell("plain", 3), 53, ignoring=63, commit="beef001"),
        *(record(cell("augmented", seed), 50 + seed, ignoring=60 + seed) for seed in (1, 2)),
        record(cell("staged", 1), 53, ignoring=64, mined=mined),
        record(cell("staged", 2), 58, ignoring=66, mined=mined),
        record(variant("mined once", 1), 52),
        record(variant("no mined labels", 1), 52),
        record(variant("mined once", 2), 55),
        record(cell("staged", variant="mined once", overrides=("SOLVER.BASE_LR", "0.1")), 99),
        record(cell("staged", variant="of former days"), 98),
        record(cell("plain", drop=None, recipe="extreme"), 20),
    ]
    planned = cells("cells", PLAN, iterations=8, config="lite0_fpn")
    write_report(records, planned, tmp_path)
    text = (tmp_path / "accuracy.md").read_text()

    nothing = ["-"] * 10
    published, ignoring = text.split("The published test labels are incomplete.")
    assert table(published, "| removed | AP plain") == [
        ["0 %", *nothing],
        [
            *("50 %", "52.0 ± 1.0 (3)", "51.5 ± 0.7 (2)", "55.5 ± 3.5 (2)", "+4.0 ± 2.8 (2)", "-"),
            *("82.0 ± 1.0 (3)", "81.5 ± 0.7 (2)", "85.5 ± 3.5 (2)", "+4.0 ± 2.8 (2)", "-"),
        ],
        ["70 %, `extreme`", "20.0 (1)", *["-"] * 4, "50.0 (1)", *["-"] * 4],
    ]
    assert table(ignoring, "| removed | AP plain")[1][1:5] == [
        *("62.0 ± 1.0 (3)", "61.5 ± 0.7 (2)", "65.0 ± 1.4 (2)", "+3.5 ± 0.7 (2)"),
    ]
    compared = table(text, "| variant")
    # Staged minus variant: 1 and 3.
    worth = {row[0]: row[2:] for row in compared}
    assert worth.pop("mined once") == ["+2.0 ± 1.4 (2)", "+2.0 ± 1.4 (2)"]
    assert worth.pop("no mined labels") == ["+1.0 (1)", "+1.0 (1)"]
    assert list(worth.values()) == [["-", "-"]] * (len(ABLATIONS) - 2)
    assert table(text, "| removed | boxes") == [
        ["50 %", "70", "labels", "20", "80 %", "75 %", "5 %"]
    ]
    assert text[text.index("Trained at") :].split("\n\n")[1].splitlines() == [
        "- `plain`: 50 % removed: c0ffee1, beef001; 70 %, `extreme` removed: c0ffee1",
        "- `augmented`: c0ffee1",
        "- `staged`: c0ffee1",
        "- variants of `staged`: c0ffee1",
    ]
    content = json.loads((tmp_path / "accuracy.json").read_text())
    row = content["sections"][0]["rows"][1]
    assert row["as_published"]["AP"]["staged"] == {
        "mean": 55.5,
        "deviation": 3.54,
        "seeds": {"1": 53.0, "2": 58.0},
    }
    assert row["as_published"]["AP"]["end-to-end"] is None
    assert row["commits"] == {
        "plain": ["c0ffee1", "beef001"],
        "augmented": ["c0ffee1"],
        "staged": ["c0ffee1"],
        "end-to-end": [],
    }
    assert (tmp_path / "accuracy.png").read_bytes().startswith(b"\x89PNG")


def test_figures_of_other_settings_stand_apart(tmp_path: Path) -> None:
    records = [record(cell(), 50), record(cell(iterations=16), 60)]
    write_report(records, [], tmp_path)
    assert (tmp_path / "accuracy.md").read_text().count("Trained at commit c0ffee1.") == 2
    sections = json.loads((tmp_path / "accuracy.json").read_text())["sections"]
    means = [one["rows"][0]["as_published"]["AP"]["plain"]["mean"] for one in sections]
    assert sorted(means) == [50, 60]
