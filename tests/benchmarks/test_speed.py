"""The cost of methods: the arithmetic, and one pass of each script on a few scenes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import two_views
from benchmarks.accuracy.plan import ABLATIONS
from benchmarks.speed.inference import InferenceTimes
from benchmarks.speed.measure import main
from benchmarks.speed.rows import Row, inference_rows, memory_rows, paired_ratio, step_rows, table
from benchmarks.speed.steps import (
    ALL_TRAINED,
    BEFORE_MINING,
    CONTIGUOUS,
    LATER_STAGE,
    MINING,
    PARTS,
    PLAIN,
    STAGE_1,
    StepTimes,
    Training,
    part_costs,
    total_seconds,
)
from benchmarks.speed.subprocesses import Memory
from benchmarks.speed.timed_training import read_data, turns
from sparsedet.annotations import read_image, write_coco
from sparsedet.config.training_config import load_config, read_config
from sparsedet.modeling import SparseDetRCNN
from sparsedet.modeling.checkpoint import build_for_inference
from sparsedet.modeling.targets import Role
from sparsedet.run_folder import RunFolder
from sparsedet.simulation.scenes import make_scenes
from sparsedet.training.engine.train import run_training, start_run

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
SECONDS = {
    PLAIN: [1.0, 2.0, 4.0],
    STAGE_1: [1.1, 2.2, 4.4],
    LATER_STAGE: [1.2, 2.0, 4.8],
    BEFORE_MINING: [1.8, 3.6, 8.0],
    MINING: [1.9, 4.0, 8.4],
    CONTIGUOUS: [1.5, 1.0, 6.0],
    ALL_TRAINED: [0.5, 1.0, 6.0],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    dataset = make_scenes(8, folder / "images", seed=1)
    for name in ("train", "test"):
        write_coco(dataset, folder / f"{name}.json")
    return folder


@pytest.fixture(scope="module")
def end_to_end_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = RunFolder(tmp_path_factory.mktemp("run") / "run")
    source = data / "train.json"
    config = load_config("lite0_fpn", ["SOLVER.MAX_ITER", "2", "SOLVER.IMS_PER_BATCH", "2"])
    full = read_data(data).test
    start_run(
        config, run, full, data / "images", source=source, method="end-to-end", seed=1, device="cpu"
    )
    run_training(run)
    return run


def test_a_ratio_is_of_pairs() -> None:
    ratio = paired_ratio([2.0, 30.0, 4.0, 5.0, 12.0], [1.0, 10.0, 1.0, 1.0, 2.0])
    assert (ratio.low, ratio.median, ratio.high) == (3.0, 4.0, 5.0)
    assert str(ratio) == "4.00 (3.00 to 5.00)"


def test_each_takes_every_turn_and_follows_every_other() -> None:
    names = ["a", "b", "c"]
    rounds = [turns(names, number) for number in range(6)]
    assert all(sorted(order) == names for order in rounds)
    for place in range(3):
        assert {order[place] for order in rounds} == set(names)
    followed = {pair for order in rounds for pair in pairwise(order)}
    assert len(followed) == 6


def test_steps_are_compared_with_their_targets() -> None:
    rows = {row.what: row for row in step_rows(StepTimes(SECONDS, 2, 15, 1))}
    assert rows["step: plain"].measured == "2000 ms"
    assert rows[f"step: {STAGE_1}"] == Row(
        f"step: {STAGE_1}", "1.10 (1.10 to 1.10)", "1.15", met=True
    )
    assert rows[f"step: {LATER_STAGE}"].met is False
    assert rows[f"step: {BEFORE_MINING}"].met is True
    assert rows[f"step: {MINING}"].met is False
    assert rows[f"step: {CONTIGUOUS}"].met is True
    assert rows[f"step: {ALL_TRAINED}"].met is False
    assert rows["steps while mining that mined something"].measured == "2 of 3"
    assert rows["frozen parameters with a gradient"].met is False


def test_inference_that_is_not_repeatable_fails_its_target() -> None:
    seconds = {name: [1.0, 1.0] for name in (PLAIN, "staged", "end-to-end", CONTIGUOUS)}
    repeatable = {PLAIN: True, "staged": True, "end-to-end": False}
    rows = inference_rows(InferenceTimes(seconds, repeatable, {}))
    assert [row.what for row in rows if row.met is False] == [
        f"inference: {CONTIGUOUS}",
        "inference twice, equal to the last bit: end-to-end",
    ]


def test_memory_counts_beyond_the_model() -> None:
    memory = {
        PLAIN: Memory(800, 1000, 0),
        "staged": Memory(810, 1060, 2),
        "end-to-end": Memory(800, 1160, 0),
    }
    assert [(row.measured, row.met) for row in memory_rows(memory)] == [
        ("200 MiB", None),
        ("1.25 (250 MiB)", False),
        ("1.80 (360 MiB)", True),
        ("2", None),
    ]


def test_mining_is_part_of_the_total() -> None:
    keys = ["SOLVER.MAX_ITER", "1000", "SPARSEDET.STAGED.MINE_AT", "(0.5, 0.75)"]
    totals = total_seconds(SECONDS, load_config("lite0_fpn", keys), mining=3)
    assert totals["plain"] == pytest.approx(1000 * 2.0)
    assert totals["staged"] == pytest.approx(500 * 2.2 + 500 * 2.0 + 2 * 3)
    assert totals["end-to-end"] == pytest.approx(500 * 3.6 + 500 * 4.0)


def test_the_parts_are_those_that_accuracy_is_measured_without() -> None:
    ablations = [(ablation.name, ablation.overrides) for ablation in ABLATIONS]
    mining, *others = PARTS
    # Options that are no part of it by default come last; their costs are not measured.
    assert [(part.name, part.overrides) for part in others] == ablations[: len(others)]
    # What `augmented` lacks.
    assert mining.overrides == ("SPARSEDET.STAGED.MINE_AT", "()")


def test_what_a_part_costs() -> None:
    steps = {part.steps(stage): [9.0] for part in PARTS for stage in part.stages}
    steps |= {STAGE_1: [1.0], LATER_STAGE: [2.0], "without zoom, stage 1": [0.5]}
    steps["without zoom, later stage"] = [1.5]
    costs = part_costs(steps, classes=3, mining=50)
    # Of 800 steps the first 300 are the first stage; two minings take 50 seconds each.
    whole = 300 * 1.0 + 500 * 2.0 + 2 * 50
    assert list(costs) == [part.name for part in PARTS]
    assert costs["nothing mined"] == pytest.approx(whole / 800)
    assert costs["mined once"] == pytest.approx(whole / (400 * 1.0 + 400 * 2.0 + 50))
    assert costs["nothing ignored"] == pytest.approx(whole / (300 + 500 * 9.0 + 100))
    assert costs["without zoom"] == pytest.approx(whole / (300 * 0.5 + 500 * 1.5 + 100))


def test_a_table_says_what_is_met() -> None:
    lines = table([Row("a", "1.2", "1.15", met=False), Row("b", "3 ms")], "Title").splitlines()
    assert lines[-2:] == ["| a | 1.2 | 1.15 | no |", "| b | 3 ms |  |  |"]


def test_later_stages_have_what_mining_gives(data: Path) -> None:
    read = read_data(data)
    assert len(read.removed) == pytest.approx(len(read.test.boxes) / 2, abs=1)
    images = read.training_images(load_config("lite0_fpn"), mined=True)
    counts = np.bincount(np.concatenate([image.roles for image in images]))
    assert counts[Role.LABEL] == len(read.train.boxes)
    assert counts[Role.MINED] == pytest.approx(len(read.removed) / 2, abs=1)
    assert counts[Role.IGNORE_REGION] == pytest.approx(len(read.removed) / 2, abs=1)
    trainers = Training(read, 0, lambda text: None).trainers
    learned = np.concatenate([image.roles for image in trainers[LATER_STAGE].images])
    assert np.array_equal(np.bincount(learned), counts)
    ignoring = trainers["no mined labels, later stage"].images
    counts_without = np.bincount(np.concatenate([image.roles for image in ignoring]))
    assert counts_without[Role.IGNORE_REGION] == len(read.removed)
    assert trainers[LATER_STAGE].config.model.method == "staged"


@pytest.fixture
def own_threads() -> Iterator[None]:
    """Restore the number of threads that a script sets."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("own_threads")
def test_one_run_measures_everything(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = {"warm-up": 1, "rounds": 1, "test-images": 2, "memory-iterations": 4}
    options = [part for name, value in few.items() for part in (f"--{name}", str(value))]
    main(arguments=["--data", str(data), "--results", str(tmp_path), *options])
    text = (tmp_path / "speed.md").read_text()
    assert capsys.readouterr().out.strip() == text.strip()
    figures = json.loads((tmp_path / "speed.json").read_text())
    assert text.count("\n| ") == len(figures["rows"]) + 1
    assert {len(values) for values in figures["seconds"]["step"].values()} == {1}
    # Twice each.
    assert {len(values) for values in figures["seconds"]["inference"].values()} == {4}
    for memory in figures["memory"].values():
        assert memory["peak"] > memory["built"] + 20
    assert figures["memory"]["staged"]["minings"] == 2
    exact = [
        row for row in figures["rows"] if "last bit" in row["what"] or "gradient" in row["what"]
    ]
    assert len(exact) == 4
    assert all(row["met"] for row in exact)


def test_two_equal_views_give_what_one_view_gives(data: Path, end_to_end_run: RunFolder) -> None:
    config = read_config(end_to_end_run.config).with_values(
        {"MODEL.ROI_HEADS.SCORE_THRESH_TEST": 0.0}
    )
    model = build_for_inference(config.node, end_to_end_run.finished_model(), "cpu")
    assert isinstance(model, SparseDetRCNN)
    test = read_data(data).test
    item = config.input.at_test().of(read_image(test.images[0], data / "images"))

    def detections(seed: int) -> torch.Tensor:
        with torch.inference_mode():
            found = two_views.TwoViews(model, config, seed)([item])[0]["instances"]
        return torch.as_tensor(found.pred_boxes.tensor)

    assert not torch.equal(detections(1), detections(2))
    assert torch.equal(detections(1), detections(1))
    config = config.with_values(
        {"SPARSEDET.AUGMENTED_VIEW.JITTER": (1.0, 1.0), "SPARSEDET.AUGMENTED_VIEW.LIGHTING": 0.0}
    )
    with torch.inference_mode():
        one = model([item])[0]["instances"].pred_boxes.tensor
    torch.testing.assert_close(detections(1)[:20], one[:20], rtol=0, atol=0.1)


def test_two_views_are_compared_with_one(
    data: Path, end_to_end_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", str(data), "--results", str(tmp_path), "--draws", "2"]
    two_views.main([str(end_to_end_run.root), *options])
    text = (tmp_path / "two_views.md").read_text()
    assert capsys.readouterr().out.strip() == text.strip()
    figures = json.loads((tmp_path / "two_views.json").read_text())
    assert len(figures["two views"]) == 2
    assert all(draw["seconds"] > 0 for draw in (figures["one view"], *figures["two views"]))


@pytest.mark.parametrize("script", ["speed.py", "two_views.py"])
def test_missing_data_are_an_error_of_one_line(tmp_path: Path, script: str) -> None:
    run = [str(tmp_path)] if script == "two_views.py" else []
    command = [sys.executable, "-W", "ignore", str(SCRIPTS / script), *run, "--data", str(tmp_path)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
