"""The record of a cell."""

import subprocess
from pathlib import Path

import pytest

from benchmarks.accuracy.record import Figures, code_commit, read_record, read_records, write_record
from sparsedet.errors import SparseDetError
from sparsedet.training.evaluation.average_precision import Evaluation
from tests.benchmarks.accuracy.records import cell, record, variant

ROOT = Path(__file__).parents[3]


def test_stored_cells_are_read() -> None:
    records = read_records(ROOT / "benchmarks/results/cells")
    assert len(records) > 10
    assert all(len(record.commit) == 7 for record in records)


def test_records_are_read_as_they_were_written_or_refused(tmp_path: Path) -> None:
    one = record(variant("mined once", 1), 50, ignoring=60)
    write_record(one, tmp_path)
    assert read_records(tmp_path) == [one]
    assert read_record(tmp_path, one.cell) == one
    other_overrides = one.cell.model_copy(update={"overrides": ("SOLVER.BASE_LR", "0.1")})
    assert read_record(tmp_path, other_overrides) is None
    assert read_record(tmp_path, cell()) is None
    next(tmp_path.glob("*/*.json")).write_text('{"cell": 1}')
    with pytest.raises(SparseDetError, match="not the record of a cell"):
        read_records(tmp_path)


def test_the_commit_says_whether_code_is_not_committed(tmp_path: Path) -> None:
    assert code_commit(tmp_path) == "unknown"

    def git(*arguments: str) -> None:
        author = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *author, *arguments], check=True)

    for name in ("sparsedet/train.py", "benchmarks/plan.py", "benchmarks/results/cell.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "Start")
    commit = code_commit(tmp_path)
    assert len(commit) == 7
    (tmp_path / "benchmarks/results/cell.json").write_text("2")
    (tmp_path / "README.md").write_text("2")
    assert code_commit(tmp_path) == commit
    (tmp_path / "sparsedet/mine.py").write_text("2")
    assert code_commit(tmp_path) == f"{commit}+changes"


def test_a_cell_keeps_the_figures_that_it_is_compared_by() -> None:
    evaluation = Evaluation(
        ap=1.0,
        ap50=2.0,
        ap75=3.0,
        per_class={"cat": 1.0},
        voc_ap50_11point=4.0,
        voc_ap50_area=5.0,
        images=6,
        annotations=7,
    )
    assert Figures.of(evaluation) == Figures(
        AP=1.0, AP50=2.0, AP75=3.0, per_class={"cat": 1.0}, images=6, annotations=7
    )
