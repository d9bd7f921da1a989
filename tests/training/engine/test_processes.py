"""Two processes are equivalent to one: same losses, same mined boxes, same metrics."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from sparsedet.annotations import Box, Category, Dataset, Image
from sparsedet.annotations.coco import to_coco
from sparsedet.atomic_io import read_json
from sparsedet.errors import TrainingError
from sparsedet.runtime import processes
from sparsedet.runtime.launched import reports_errors
from sparsedet.training.engine.metrics import read_metrics
from tests.conftest import Scenes
from tests.training.engine import several_processes

ROOT = Path(__file__).parents[3]
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.fixture(scope="module")
def alone(scenes: Scenes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("alone")
    broken = output / several_processes.BROKEN
    shutil.copytree(scenes.images, broken)
    second = broken / scenes.dataset.images[1].file_name
    second.write_bytes(second.read_bytes()[:200])
    several_processes.main(
        output, scenes.annotations, scenes.images, output / several_processes.FINISHED
    )
    return output


@pytest.fixture(scope="module")
def together(alone: Path, scenes: Scenes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("together")
    arguments = [output, scenes.annotations, scenes.images, alone / several_processes.FINISHED]
    subprocess.run(
        [sys.executable, *TORCHRUN, "-m", several_processes.__name__, *map(str, arguments)],
        cwd=ROOT,
        # The launcher would leave each process one thread, and the number changes the last digits.
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        check=True,
        timeout=300,
    )
    return output


def cases(folder: Path) -> Any:
    return read_json(folder / "results.json")["cases"]


def test_two_processes_have_worked_together(alone: Path, together: Path) -> None:
    assert read_json(alone / "results.json")["ranks"] == [0]
    assert read_json(together / "results.json")["ranks"] == [0, 1]


@pytest.mark.parametrize("case", several_processes.CASES)
def test_the_losses_are_those_of_one_process_with_the_whole_batch(
    alone: Path, together: Path, case: str
) -> None:
    expected, found = cases(alone)[case]["losses"], cases(together)[case]["losses"]
    assert len(found) == len(expected) == several_processes.ITERATIONS
    for one, two in zip(expected, found, strict=True):
        assert two == pytest.approx(one, rel=1e-3, abs=1e-6)
    assert expected[0] != expected[-1]
    if case == "end-to-end":
        assert expected[-1]["distillation_loss"] > 0


def test_the_measurements_on_the_way_are_the_same(alone: Path, together: Path) -> None:
    expected = cases(alone)["measured"]["measured"]
    assert len(expected) == 3
    assert cases(together)["measured"]["measured"] == pytest.approx(expected, abs=0.5)


def test_mining_between_the_stages_finds_the_same(alone: Path, together: Path) -> None:
    one, two = (read_json(root / "staged/mining/stage1.json") for root in (alone, together))
    counts = [{kind: len(found[kind]) for kind in ("labels", "doubtful")} for found in (one, two)]
    assert sum(counts[0].values()) > 0
    assert counts[1] == pytest.approx(counts[0], abs=1)


@pytest.mark.parametrize("name", ["detections.json", "evaluation.json"])
def test_detections_and_figures_are_the_same_to_the_last_digit(
    alone: Path, together: Path, name: str
) -> None:
    assert (together / name).read_bytes() == (alone / name).read_bytes()
    assert read_json(alone / name)


def test_images_that_cannot_be_decoded_are_counted_together(alone: Path, together: Path) -> None:
    expected = read_json(alone / "results.json")["broken"]
    assert expected[0] == "[True, False]"
    assert "1 of 2 images can't be read" in expected[1]
    assert read_json(together / "results.json")["broken"] == expected


@pytest.mark.parametrize(
    ("environment", "speaks"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": "1", "LOCAL_RANK": "1"}, False),
        # The first one of another machine, where something else may be missing.
        ({"RANK": "2", "LOCAL_RANK": "0"}, True),
    ],
)
def test_before_the_processes_have_met_one_of_each_machine_speaks(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], speaks: bool
) -> None:
    for name, value in (environment | {"WORLD_SIZE": "4"} if environment else {}).items():
        monkeypatch.setenv(name, value)
    assert reports_errors() is speaks


@pytest.mark.parametrize("local", ["0", "2"])
def test_more_processes_than_gpus_end_all_of_them_at_once(
    monkeypatch: pytest.MonkeyPatch, local: str
) -> None:
    launched = {"RANK": local, "WORLD_SIZE": "3", "LOCAL_RANK": local, "LOCAL_WORLD_SIZE": "3"}
    for name, value in launched.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with (
        pytest.raises(TrainingError, match="3 processes for 2 CUDA devices"),
        processes.process_group("cuda"),
    ):
        pass


def test_without_a_place_to_meet_the_variables_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some platforms set these two for every program."""
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    for name, value in {"RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    with (
        pytest.raises(TrainingError, match=r"RANK and WORLD_SIZE are set.*MASTER_ADDR"),
        processes.process_group("cpu"),
    ):
        pass


def test_a_dataset_of_any_format_can_be_sent_to_other_processes() -> None:
    """COCO files give every entry its own keys, other formats none."""
    dataset = Dataset(
        (Image(1, "1.jpg", 40, 30),), (Box(1, 1, 1, (1.0, 2.0, 3.0, 4.0)),), (Category(1, "cell"),)
    )
    received = pickle.loads(pickle.dumps([dataset, True]))  # noqa: S301 - our own
    assert received == [dataset, True]
    assert to_coco(received[0]) == to_coco(dataset)


def test_one_process_writes_the_numbers(together: Path) -> None:
    lines = read_metrics(together / several_processes.FINISHED / "metrics.json")
    # Measured twice on the way and at the end; the losses once, at the end.
    assert [line["iteration"] for line in lines] == [2, 4, 5, 5]
