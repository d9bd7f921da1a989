"""The model card: figures of runs and of rounds, and names of any kind."""

import os
from pathlib import Path

import pytest

from sparsedet.atomic_io import write_json, write_text
from sparsedet.export.card import ModelCard
from sparsedet.run_folder import RunFolder, RunInfo
from tests.training.short_runs import short_config


def card(root: Path, *, names: tuple[str, ...] = ("cell",), data: str = "train.json") -> ModelCard:
    run = RunFolder(root)
    classes = list(enumerate(names, start=1))
    run.write_info(RunInfo("run-1", "plain", 1, data, "images", classes, "-"))
    return ModelCard.of_run(run, short_config(6, method="plain"))


@pytest.mark.parametrize("place", ["rounds/001/run/evaluation.json", "rounds/001/evaluation.json"])
def test_figures_of_a_round_are_those_of_its_model(place: str, tmp_path: Path) -> None:
    write_json(tmp_path / place, {"AP": 41.23, "AP50": None, "images": 4})
    text = card(tmp_path / "rounds/001/run").to_markdown("model")
    assert "- AP: 41.2\n" in text
    assert "AP50" not in text


def test_other_files_next_to_a_run_are_no_figures_of_it(tmp_path: Path) -> None:
    write_json(tmp_path / "evaluation.json", {"AP": 41.23})
    assert "Not measured" in card(tmp_path / "run").to_markdown("model")


def test_odd_names_leave_the_table_as_it_is(tmp_path: Path) -> None:
    names = ("left|right", "two\nlines", "half \ud83d", os.fsdecode(b"caf\xe9"))
    text = card(tmp_path, names=names, data=os.fsdecode(b"d\xe9/train.json")).to_markdown("model")
    write_text(tmp_path / "model.card.md", text)
    rows = [line for line in text.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert rows == [
        "| 0 | left\\|right |",
        "| 1 | two lines |",
        "| 2 | half \\ud83d |",
        "| 3 | caf\\xe9 |",
    ]
    assert "(`d\\xe9/train.json`)" in text
