"""The command line: cells are trained once, one at a time, and again by the canary."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from benchmarks.accuracy.command import main
from benchmarks.accuracy.record import Record, code_commit, read_records, write_record
from sparsedet.training.engine.metrics import read_metrics

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "accuracy.py"


def test_the_script_trains_a_cell_once(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, work = tmp_path / "results", tmp_path / "work"
    arguments = [
        *("--data", str(folder), "--results", str(results), "--work", str(work)),
        *("--drops", "0.5", "--seeds", "1", "--iterations", "3", "--only", "plain"),
    ]
    subprocess.run([sys.executable, SCRIPT, *arguments, "--keep"], check=True, timeout=300)
    (file,) = results.glob("cells/*/*.json")
    first = Record.model_validate(json.loads(file.read_text()))
    assert first.cell.key == "scenes/random-0.5-plain-s1-3it-lite0_fpn"
    assert first.commit == code_commit()
    assert first.unlabelled_ignored is not None
    kept = work / first.cell.key / "run"
    assert read_metrics(kept / "metrics.json")[-1]["iteration"] == 3

    written = file.stat().st_mtime_ns
    main(arguments=arguments)
    assert capsys.readouterr().out == "scenes: 1 cells, 0 to train\n"
    assert file.stat().st_mtime_ns == written
    main(arguments=[*arguments, "--again", "--time-limit", "0"])
    assert "1 cells are left" in capsys.readouterr().out
    assert file.stat().st_mtime_ns == written

    write_record(first.model_copy(update={"commit": "c0ffee1"}), results / "cells")
    main(arguments=[*arguments, "--list"])
    assert capsys.readouterr().out.split() == ["c0ffee1", first.cell.key]
    main(arguments=[*arguments, "--time-limit", "0"])
    assert "Trained at commit c0ffee1." in (results / "accuracy.md").read_text()
    main(arguments=[*arguments, "--again"])
    (again,) = read_records(results / "cells")
    assert (again.commit, again.figures) == (first.commit, first.figures)
    assert not kept.exists()


def test_the_canary_trains_a_cell_of_each_method_and_compares(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, work = tmp_path / "results", tmp_path / "work"
    arguments = ["--data", str(folder), "--results", str(results), "--work", str(work)]
    arguments += ["--drops", "0.5", "--iterations", "2"]
    main(arguments=[*arguments, "--only", "s1-"])
    capsys.readouterr()
    trained = {record.cell.method: record for record in read_records(results / "cells")}
    assert set(trained) == {"plain", "augmented", "staged", "end-to-end"}
    for seed in (2, 3):
        other = trained["plain"].cell.model_copy(update={"seed": seed})
        write_record(trained["plain"].model_copy(update={"cell": other}), results / "cells")
    moved = trained["staged"].figures.model_copy(update={"AP": 50.0})
    write_record(trained["staged"].model_copy(update={"figures": moved}), results / "cells")
    before = {path: path.read_bytes() for path in results.rglob("*.*") if path.is_file()}

    with pytest.raises(SystemExit, match="error: 1 cells outside the spread"):
        main(arguments=[*arguments, "--canary"])
    printed = capsys.readouterr().out.split("[")
    for method, recorded, verdict, text in zip(
        ("plain", "augmented", "staged", "end-to-end"),
        (
            trained["plain"].figures.AP,
            trained["augmented"].figures.AP,
            50,
            trained["end-to-end"].figures.AP,
        ),
        ("within the spread", "within the spread", "OUTSIDE the spread", "within the spread"),
        printed[1:],
        strict=True,
    ):
        record = trained[method]
        assert record.cell.key in text
        assert f"with this seed {recorded:.2f} at commit {record.commit}" in text
        assert f"now       AP {record.figures.AP:.2f} at commit {code_commit()}: {verdict}" in text
    assert {path: path.read_bytes() for path in before} == before
    assert not (work / "canary").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data", "nowhere"], "nowhere: no such folder"),
        (["--only", "nothing"], "--only nothing: no cell's key contains that"),
        (["--config", "none"], "no configuration 'none'"),
        (["--drops", "2"], "drop is 2.0"),
        (["--iterations", "0"], "SOLVER.MAX_ITER is 0"),
    ],
)
def test_bad_input_is_an_error_of_one_line(
    more: list[str], message: str, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments=["--data", str(folder), "--results", str(tmp_path / "results"), *more])
    error = str(caught.value)
    assert error.startswith("error: ")
    assert message in error
    assert "\n" not in error
    assert not list(tmp_path.rglob("accuracy.*"))


def test_one_call_trains_at_a_time(folder: Path, tmp_path: Path) -> None:
    lock = tmp_path / "cells" / ".lock"
    lock.parent.mkdir()
    arguments = ["--data", str(folder), "--results", str(tmp_path)]
    with FileLock(lock), pytest.raises(SystemExit, match=r"error: .*another call is training"):
        main(arguments=arguments)
    main(arguments=[*arguments, "--time-limit", "0"])
