"""Cells are trained once, one at a time, and go on where they were interrupted."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from benchmarks.accuracy.command import main
from benchmarks.accuracy.data import FullData, read_folder
from benchmarks.accuracy.fingerprint import code_hash, fingerprint
from benchmarks.accuracy.record import Record, read_records, write_record
from benchmarks.accuracy.training import train_cell
from sparsedet.training.engine.metrics import read_metrics
from sparsedet.training.engine.stage import StageProgress
from tests.benchmarks.accuracy.records import cell, edited, table

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "accuracy.py"


def test_an_interrupted_training_goes_on_unless_something_changed(
    digits: FullData, tmp_path: Path
) -> None:
    mines_early = ("SPARSEDET.STAGED.MIN_ITER", "0")
    of = cell("staged", iterations=6, variant="mines early", overrides=mines_early)
    done: list[int] = []

    def press_at_four(progress: StageProgress) -> None:
        done.append(progress.iteration)
        if progress.iteration == 4:
            signal.raise_signal(signal.SIGINT)

    def train(code: str, on_progress: object = None) -> Record:
        made_from = fingerprint(of, digits, code)
        chosen = on_progress or (lambda progress: done.append(progress.iteration))
        return train_cell(of, digits, made_from, tmp_path / "cell", chosen)

    with pytest.raises(KeyboardInterrupt):
        train("code", press_at_four)
    assert done == [1, 2, 3, 4]
    before = json.loads((tmp_path / "cell" / "seconds.json").read_text())[-1][1]
    done.clear()
    finished = train("code")
    # Six iterations in all: what another stage repeats would not be equal totals.
    assert done == [5, 6]
    assert finished.seconds > before > 0
    assert (finished.training_boxes, finished.removed_boxes) == (
        len(digits.sparse(of)[0].boxes),
        len(digits.sparse(of)[1].boxes),
    )
    assert finished.mined.keys() >= {"labels", "doubtful"}
    done.clear()
    train("other code")
    assert done == [1, 2, 3, 4, 5, 6]


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
    assert first.fingerprint == fingerprint(first.cell, read_folder(folder), code_hash())
    assert first.unlabelled_ignored is not None
    kept = work / first.cell.key / "run"
    assert read_metrics(kept / "metrics.json")[-1]["iteration"] == 3

    written = file.stat().st_mtime_ns
    main(arguments=arguments)
    assert capsys.readouterr().out == "scenes: 1 cells, 0 to train\n"
    assert file.stat().st_mtime_ns == written

    write_record(edited(first, code="former"), results / "cells")
    main(arguments=[*arguments, "--list"])
    assert capsys.readouterr().out.split() == ["stale", first.cell.key]
    main(arguments=[*arguments, "--time-limit", "0"])
    assert "1 cells are left" in capsys.readouterr().out
    text = (results / "accuracy.md").read_text()
    assert table(text, "| removed | AP plain") == [["50 %", *["-"] * 8]]
    assert f"- `{first.cell.key}`: code" in text
    main(arguments=arguments)
    assert read_records(results / "cells")[0].fingerprint == first.fingerprint
    assert not kept.exists()


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
def test_bad_input_is_told_in_one_line(
    more: list[str], message: str, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments=["--data", str(folder), "--results", str(tmp_path / "results"), *more])
    told = str(caught.value)
    assert told.startswith("error: ")
    assert message in told
    assert "\n" not in told
    assert not list(tmp_path.rglob("accuracy.*"))


def test_one_call_trains_at_a_time(folder: Path, tmp_path: Path) -> None:
    lock = tmp_path / "cells" / ".lock"
    lock.parent.mkdir()
    arguments = ["--data", str(folder), "--results", str(tmp_path)]
    with FileLock(lock), pytest.raises(SystemExit, match=r"error: .*another call trains cells"):
        main(arguments=arguments)
    main(arguments=[*arguments, "--time-limit", "0"])
