"""AP against minutes: cells are measured once, missing weights are named, the table says what."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.backbones import best, main, report
from sparsedet.annotations import write_coco
from tests.conftest import Scenes

SMALL = [
    *("SOLVER.IMS_PER_BATCH", "2", "INPUT.MIN_SIZE_TRAIN", "64", "INPUT.MAX_SIZE_TRAIN", "96"),
    *("INPUT.MIN_SIZE_TEST", "64", "INPUT.MAX_SIZE_TEST", "96", "MODEL.WEIGHTS", ""),
]


def row(config: str, minutes: float, ap: float) -> dict[str, Any]:
    return {
        "config": config,
        "minutes": minutes,
        "method": "staged",
        "drop": 0.5,
        "threads": 2,
        "AP": ap,
        "AP50": ap + 20,
        "iterations": 100 * minutes,
        "test, ms per image": 50.0,
    }


def test_the_table_says_which_one_to_take() -> None:
    rows = [
        row("lite2_fpn", 3, 40.0),
        row("lite0_fpn", 3, 44.0),
        row("lite0_fpn", 3, 46.0),
        row("lite0_fpn", 30, 50.0),
        row("lite1_fpn", 30, 50.4),
        row("lite2_fpn", 30, 52.0),
    ]
    text = report("cells", rows, {"mobilenet_fpn": "no network"})
    assert "| `lite0_fpn` | 45.0 / 65.0 (300) | 50.0 / 70.0 (3000) | 50 |" in text
    assert "| `lite1_fpn` |  | 50.4 / 70.4 (3000) | 50 |" in text
    assert "- 3 minutes: take `lite0_fpn`" in text
    assert "- 30 minutes: take `lite2_fpn`" in text
    assert "- `mobilenet_fpn` was not measured: no network" in text
    # Half a point more is not worth a larger network.
    assert best({("lite0_fpn", 30): 50.0, ("lite1_fpn", 30): 50.4}, 30) == "lite0_fpn"


def test_cells_are_measured_once(
    scenes: Scenes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "digits"
    data.mkdir()
    (data / "images").symlink_to(scenes.images)
    small = scenes.dataset.with_images(scenes.dataset.images[:4])
    for part in ("train", "test"):
        write_coco(small, data / f"{part}.json")
    arguments = [
        *("--data", data, "--configs", "lite0_fpn", "--minutes", "0.001", "--method", "plain"),
        *("--results", tmp_path / "results", "--work", tmp_path / "work", "--set", *SMALL),
    ]
    words = list(map(str, arguments))
    assert main([*words, "--list"]) == 0
    assert capsys.readouterr().out == "missing   lite0_fpn-0.001min-s1\n"
    assert main(words) == 0
    assert "lite0_fpn-0.001min-s1: AP " in capsys.readouterr().out
    cell = tmp_path / "results/digits/lite0_fpn-0.001min-s1.json"
    found = json.loads(cell.read_text())
    # The least that a training has.
    assert found["iterations"] == 10
    assert found["minutes of steps"] > 0
    assert "take `lite0_fpn`" in (tmp_path / "results/digits.md").read_text()
    # A cell that is there is not trained again.
    cell.write_text(json.dumps({**found, "AP": 77.7}))
    assert main(words) == 0
    assert "77.7" in (tmp_path / "results/digits.md").read_text()
    # On a busy machine, the pace of a measured cell is as good as an own measurement.
    assert main([*words, "--minutes", "0.0012", "--as", "0.001"]) == 0
    longer = json.loads((tmp_path / "results/digits/lite0_fpn-0.0012min-s1.json").read_text())
    assert longer["iterations"] == 12
    assert "test, ms per image" not in longer
    assert main([*words, "--minutes", "0.0014", "--as", "0.002"]) == 1
    assert "lite0_fpn-0.002min-s1.json is missing" in capsys.readouterr().err


def test_weights_that_cant_be_had_are_named(
    scenes: Scenes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "digits"
    data.mkdir()
    (data / "images").symlink_to(scenes.images)
    for part in ("train", "test"):
        write_coco(scenes.dataset, data / f"{part}.json")
    arguments = ["--data", data, "--configs", "lite0_fpn", "--results", tmp_path / "results"]
    words = [*map(str, arguments), "--set", "MODEL.WEIGHTS", "package:no_such_package"]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "lite0_fpn: left out (MODEL.WEIGHTS package:no_such_package" in said.err
    assert "`lite0_fpn` was not measured: " in said.out
