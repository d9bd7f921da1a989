"""`sparsedet train`: run folders, interruption by kill -9, one-line errors."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sparsedet.annotations import write_coco
from sparsedet.loop.settings import Settings, Source
from sparsedet.loop.workspace import Workspace
from sparsedet.simulation.scenes import make_scenes
from tests.cli.command import Result, sparsedet, sparsedet_here

SHORT = [
    *("SOLVER.MAX_ITER", "12"),
    *("SPARSEDET.STAGED.MIN_ITER", "0"),
    *("SOLVER.IMS_PER_BATCH", "2"),
    *("SOLVER.WARMUP_ITERS", "2"),
    *("SOLVER.CHECKPOINT_PERIOD", "2"),
    *("INPUT.MIN_SIZE_TRAIN", "120", "INPUT.MAX_SIZE_TRAIN", "160"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_coco(make_scenes(8, root / "images", seed=1), root / "train.json")
    return root


def arguments(data: Path, run: Path, *more: str) -> list[str | Path]:
    return ["train", "--train", data / "train.json", "-o", run, *more, *SHORT]


def test_interrupted_a_run_says_how_to_go_on_and_ends_in_the_same_model(
    data: Path, tmp_path: Path
) -> None:
    whole = sparsedet_here(*arguments(data, tmp_path / "whole", "--method", "end-to-end"))
    assert whole.status == 0, whole.err
    run = tmp_path / "stopped"
    status, said = stop_when(
        data, run, run / "checkpoints/end-to-end.pth", signal.SIGINT, "--method", "end-to-end"
    )
    assert status == 130
    assert "--resume" in said
    assert "Traceback" not in said
    assert sparsedet_here(*resume(run)).status == 0
    check_same_result(tmp_path / "whole", run)


def check_same_result(first: Path, second: Path) -> None:
    models = [(run / "model.pth").read_bytes() for run in (first, second)]
    assert models[0] == models[1]
    metrics = [(run / "metrics.json").read_text() for run in (first, second)]
    losses = [[json.loads(line)["total_loss"] for line in text.splitlines()] for text in metrics]
    assert losses[0] == losses[1]
    assert not list(second.rglob("*.tmp"))


def resume(run: Path) -> list[str | Path]:
    return ["train", "--resume", "-o", run]


def stop_when(
    data: Path, run: Path, exists: Path, how: signal.Signals, *more: str
) -> tuple[int, str]:
    """Start or resume a run and stop it as soon as a file is there; return status and stderr."""
    words = resume(run) if run.exists() else arguments(data, run, *more)
    command = [sys.executable, "-m", "sparsedet", *map(str, words)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not exists.exists():
            assert process.poll() is None, "the run ended before it could be stopped"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, how)
        said = process.communicate(timeout=120)[1]
    return process.returncode, said


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("finished") / "run"
    result = sparsedet_here(*arguments(data, run, "--method", "plain"))
    assert result.status == 0, result.err
    return run


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--method", "staged"], "the run's method is plain, not staged"),
        (["--seed", "9"], "the run's seed is 1, not 9"),
        ([*SHORT, "SOLVER.MAX_ITER", "13"], "other values of SOLVER.MAX_ITER;"),
        (["--train", "{other}"], "the training annotations are not those"),
    ],
)
def test_going_on_with_another_run_than_asked_for_is_refused(
    data: Path, finished: Path, tmp_path: Path, given: list[str], message: str
) -> None:
    other = make_scenes(8, data / "images", seed=1)
    write_coco(other.with_boxes(other.boxes[1:]), tmp_path / "other.json")
    words = [word.format(other=tmp_path / "other.json") for word in given]
    images = ("--images", data / "images")
    assert message in sparsedet_here(*resume(finished), *words, *images).error()


def test_going_on_with_what_says_the_same_is_no_other_run(
    data: Path, finished: Path, tmp_path: Path
) -> None:
    images = ("--images", data / "images")
    bare = json.loads((data / "train.json").read_text())
    for box in bare["annotations"]:
        del box["area"]
    (tmp_path / "bare.json").write_text(json.dumps(bare))
    again = ("--train", tmp_path / "bare.json", *images, "--seed", "1", "--method", "plain")
    assert sparsedet_here(*resume(finished), *again, *SHORT).status == 0


def test_a_run_folder_holds_what_it_promises(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = sparsedet(
        *arguments(data, run, "--method", "staged", "--val", str(data / "train.json"), "--json")
    )
    assert result.status == 0, result.err
    assert result.json()["evaluation"].keys() >= {"AP", "AP50", "AP75", "per_class"}
    files = ("config.yaml", "run.json", "model.pth", "mining/stage1.json", "evaluation.json")
    for name in (*files, "curves.png"):
        assert (run / name).is_file(), name
    assert list((run / "tensorboard").rglob("events.*"))
    stages = {json.loads(line)["stage"] for line in (run / "metrics.json").read_text().splitlines()}
    assert stages == {"stage1", "stage2", "stage3"}
    # What the run learned from is kept: its training file may be gone by the time it is resumed.
    assert json.loads((run / "train.json").read_text())["images"]


def test_minutes_choose_the_iterations_once(data: Path, tmp_path: Path) -> None:
    keys = ("SOLVER.IMS_PER_BATCH", "2", "INPUT.MIN_SIZE_TRAIN", "64", "INPUT.MAX_SIZE_TRAIN", "96")
    run, minutes = tmp_path / "run", ("--method", "plain", "--minutes", "0.001", *keys)
    begun = train_elsewhere(data, run, *minutes)
    assert begun.status == 0, begun.err
    assert " s here: 10 iterations in 0.001 minutes" in begun.err
    assert "MAX_ITER: 10\n" in (run / "config.yaml").read_text()
    # Given again it says the same, whatever would be measured now.
    resumed = train_elsewhere(data, run, "--resume", *minutes[:3], "5", *keys)
    assert resumed.status == 0, resumed.err
    assert " s here: " not in resumed.err

    both = train_elsewhere(data, tmp_path / "other", *minutes, "SOLVER.MAX_ITER", "20").error()
    assert both == "--minutes chooses SOLVER.MAX_ITER; leave one of the two out"
    none = train_elsewhere(data, tmp_path / "other", "--minutes", "0", *keys).error()
    assert none == "--minutes 0: expected a number above 0"
    less = train_elsewhere(data, tmp_path / "other", "--minutes", "-1", *keys).error()
    assert less == "--minutes -1: expected a number above 0"
    assert not (tmp_path / "other").exists()
    # Nothing is measured for a run that can't start.
    again = train_elsewhere(data, run, *minutes)
    assert "the output folder is not empty; pass --resume to continue the run, or" in again.error()
    assert " s here: " not in again.err


def train_elsewhere(data: Path, run: Path, *changes: str) -> Result:
    return sparsedet_here("train", "--train", data / "train.json", "-o", run, *changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--method", "magic"], "unknown method 'magic'"),
        (["--config", "huge"], "no configuration 'huge'"),
        (["SOLVER.MAX_ITERS", "3"], "no configuration key SOLVER.MAX_ITERS"),
        (["--device", "tpu"], "expected auto, cpu or cuda"),
        (["--images", "nowhere"], "no such image folder"),
        (["MODEL.WEIGHTS", "http://127.0.0.1:1/w.pth"], "w.pth: can't be fetched"),
        (["--train", "split1_30p"], "--data-root"),
        (
            ["SOLVER.BASE_LR", "1e-6"],
            "SOLVER.BASE_LR_END is 2e-05, more than SOLVER.BASE_LR, 1e-06",
        ),
        (["MODEL.ANCHOR_GENERATOR.SIZES", "[[32],[64]]", "--minutes", "1"], "no model that can be"),
        (["MODEL.RPN.IN_FEATURES", "['p9']"], "no model that can be trained (KeyError: 'p9')"),
        (["MODEL.ANCHOR_GENERATOR.SIZES", "[[]]"], "expected lists of one or more numbers above 0"),
        (["MODEL.RPN.BBOX_REG_LOSS_TYPE", "l1"], "no model that can be trained (ValueError: "),
    ],
)
def test_errors_are_one_line_and_leave_nothing(
    data: Path, tmp_path: Path, changes: list[str], message: str
) -> None:
    message = message.format(data=data / "train.json")
    assert message in train_elsewhere(data, tmp_path / "run", *changes).error()
    assert not (tmp_path / "run").exists()


def test_unusable_weights_leave_no_run_either(data: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    weights.write_text("no weights")
    changes = ["MODEL.WEIGHTS", str(weights), "SOLVER.MAX_ITER", "1"]
    assert str(weights) in train_elsewhere(data, tmp_path / "run", *changes).error()
    assert not (tmp_path / "run").exists()


def test_a_rate_that_diverges_is_one_line_and_keeps_what_was_saved(
    data: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    keys = ["SOLVER.BASE_LR", "1e9", "SOLVER.CHECKPOINT_PERIOD", "1"]
    result = sparsedet_here(*arguments(data, run, "--method", "plain"), *keys)
    assert result.status == 1
    (said,) = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert re.search(r"a loss is not finite at iteration \d+ \(.*image ids \d+, \d+\)", said)
    assert "a lower SOLVER.BASE_LR usually helps" in said
    assert (run / "checkpoints/plain.pth").exists()
    assert not (run / "model.pth").exists()


def test_broken_images_are_named_and_skipped_up_to_a_bound(data: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    shutil.copytree(data / "images", images)
    empty, half, *_ = sorted(images.iterdir())
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    empty.write_bytes(b"")
    command = ("train", "--train", data / "train.json", "--val", data / "train.json")
    options: list[str | Path] = ["--images", images, "--method", "plain", *SHORT]
    result = sparsedet_here(*command, *options, "-o", tmp_path / "run")
    assert result.status == 0, result.err
    for broken in (empty, half):
        assert re.search(rf"WARNING: .*{broken.name}.*the image is skipped", result.err)
    refused = sparsedet_here(
        *command, *options, "-o", tmp_path / "other", "DATALOADER.MAX_UNREADABLE", "0"
    )
    assert f"{empty.name}: can't be read" in refused.error()
    assert not (tmp_path / "other").exists()


def test_nothing_to_train_on_is_one_line(data: Path, tmp_path: Path) -> None:
    empty = make_scenes(8, data / "images", seed=1).with_boxes([])
    write_coco(empty, tmp_path / "empty.json")
    train = ("train", "--train", tmp_path / "empty.json", "-o", tmp_path / "run")
    refused = sparsedet_here(*train, "--images", data / "images")
    assert "nothing to train on" in refused.error()
    assert not (tmp_path / "run").exists()


def test_a_seed_that_is_too_large_is_refused_at_once(data: Path, tmp_path: Path) -> None:
    result = train_elsewhere(data, tmp_path / "run", "--seed", str(2**32))
    assert result.status == 2
    assert "--seed" in result.err
    assert not (tmp_path / "run").exists()


def test_a_folder_with_something_in_it_is_not_touched(data: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    assert "not empty" in train_elsewhere(data, tmp_path).error()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_foreign_classes_to_measure_on_are_refused_at_once(data: Path, tmp_path: Path) -> None:
    content = json.loads((data / "train.json").read_text())
    for category in content["categories"]:
        category["name"] += " of a letter"
    (tmp_path / "val.json").write_text(json.dumps(content))
    given = (tmp_path / "val.json", "--images", data / "images")
    error = sparsedet_here(*arguments(data, tmp_path / "run"), "--val", *given).error()
    assert "val.json: classes differ from those of the training (only there: " in error
    assert not (tmp_path / "run").exists()


def test_nothing_to_measure_on_is_refused_at_once(data: Path, tmp_path: Path) -> None:
    write_coco(make_scenes(8, data / "images", seed=1).with_boxes([]), tmp_path / "val.json")
    given = (tmp_path / "val.json", "--images", data / "images")
    error = sparsedet_here(*arguments(data, tmp_path / "run"), "--val", *given).error()
    assert "val.json: no annotations of the trained classes to evaluate on" in error
    assert not (tmp_path / "run").exists()


def test_resuming_what_is_not_there_starts_nothing(data: Path, tmp_path: Path) -> None:
    result = sparsedet_here(*arguments(data, tmp_path / "typo", "--resume"))
    assert "no run to resume" in result.error()
    assert not (tmp_path / "typo").exists()


def test_an_output_that_is_a_file_is_one_line(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    taken = train_elsewhere(data, tmp_path / "file").error()
    assert taken == f"{tmp_path / 'file'}: a file, not a folder; choose another with -o"
    for place in (tmp_path / "file" / "deep", tmp_path / "file" / "mined.json"):
        assert str(tmp_path / "file") in train_elsewhere(data, place).error()


def test_evaluating_or_mining_what_is_no_run(data: Path, tmp_path: Path) -> None:
    for command in ("eval", "mine"):
        more = ("-o", tmp_path / "mined.json") if command == "mine" else ()
        result = sparsedet_here(command, tmp_path, *more, "--data", data / "train.json")
        assert "run.json is missing" in result.error()
        # A workspace stands for the model of its last round.
        settings = Settings(source=Source(tool="files", url=str(tmp_path), project="data"))
        work = Workspace(tmp_path / "work")
        work.root.mkdir(exist_ok=True)
        work.write_settings(settings)
        result = sparsedet_here(command, work.root, *more, "--data", data / "train.json")
        assert "no round has a model yet: run `sparsedet round " in result.error()
