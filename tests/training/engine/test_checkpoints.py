"""Checkpoints of a stage: the newest is always complete, and some older ones are kept."""

import logging
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sparsedet.errors import RunError
from sparsedet.modeling import checkpoint
from sparsedet.run_folder import RunFolder
from sparsedet.training.engine.checkpoints import StageCheckpoints, State
from sparsedet.training.engine.trainer import Trainer
from tests.training.short_runs import short_config

FULL_DISK = """
import resource, signal, sys, torch
from pathlib import Path
from sparsedet.run_folder import RunFolder
from sparsedet.training.engine.checkpoints import StageCheckpoints
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
checkpoints = StageCheckpoints(RunFolder(Path(sys.argv[1])), "stage1", kept=2)
checkpoints.read()
checkpoints.write({"iteration": 40, "weights": torch.zeros(1_000_000)})
"""


def state(iteration: int) -> State:
    return {"iteration": iteration, "weights": torch.full((10,), float(iteration))}


def written(root: Path, *iterations: int, kept: int = 2) -> StageCheckpoints:
    checkpoints = StageCheckpoints(RunFolder(root), "stage1", kept=kept)
    for iteration in iterations:
        checkpoints.write(state(iteration))
    return checkpoints


@pytest.mark.parametrize(
    ("kept", "names"),
    [(1, []), (2, ["stage1-0000040.pth"]), (3, ["stage1-0000040.pth", "stage1-0000020.pth"])],
)
def test_the_last_states_are_kept(tmp_path: Path, kept: int, names: list[str]) -> None:
    checkpoints = written(tmp_path, 10, 20, 40, 60, kept=kept)
    assert [path.name for path in checkpoints.older()] == names
    assert checkpoint.load(checkpoints.newest)["iteration"] == 60
    for path in checkpoints.older():
        assert f"{checkpoint.load(path)['iteration']:07d}" in path.name


def test_a_run_that_goes_on_keeps_the_state_that_it_went_on_from(tmp_path: Path) -> None:
    written(tmp_path, 20)
    checkpoints = StageCheckpoints(RunFolder(tmp_path), "stage1", kept=2)
    assert checkpoints.read() is not None
    checkpoints.write(state(40))
    assert [path.name for path in checkpoints.older()] == ["stage1-0000020.pth"]


def test_a_damaged_state_is_replaced_by_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = written(tmp_path, 20, 40)
    checkpoints.newest.write_bytes(checkpoints.newest.read_bytes()[:100])
    again = StageCheckpoints(RunFolder(tmp_path), "stage1", kept=2)
    with caplog.at_level(logging.WARNING):
        found = again.read()
    assert found is not None
    assert found["iteration"] == 20
    assert "stage1.pth: not a readable checkpoint" in caplog.text
    # What is damaged does not become an older state.
    again.write(state(40))
    assert [checkpoint.load(path)["iteration"] for path in again.older()] == [20]


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        ({"weights": torch.zeros(3)}, "not a checkpoint of a training that can be resumed"),
        ({"iteration": "forty"}, "not a checkpoint of a training that can be resumed"),
        ({"iteration": 40, "model": {"a.b": torch.tensor([1.0, math.nan])}}, r"finite \(a\.b\)"),
        ({"iteration": 40, "average": {"a.b": torch.tensor(math.inf)}}, r"finite \(a\.b\)"),
    ],
)
def test_other_content_is_replaced_by_the_state_before(
    tmp_path: Path, odd: State, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A model was copied there, or its weights are worthless: the losses don't show the average."""
    checkpoints = written(tmp_path, 20, 40)
    checkpoint.save(odd, checkpoints.newest)
    with caplog.at_level(logging.WARNING):
        found = StageCheckpoints(RunFolder(tmp_path), "stage1").read()
    assert found is not None
    assert found["iteration"] == 20
    assert re.search(says, caplog.text)
    for path in checkpoints.older():
        path.unlink()
    with pytest.raises(RunError, match=says):
        StageCheckpoints(RunFolder(tmp_path), "stage1").read()


def test_a_removed_state_is_replaced_by_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody has removed the newest, as it was damaged."""
    written(tmp_path, 20, 40).newest.unlink()
    again = StageCheckpoints(RunFolder(tmp_path), "stage1", kept=2)
    found = again.read()
    assert found is not None
    assert found["iteration"] == 20
    assert "stage1.pth: no such checkpoint; resuming from" in caplog.text
    again.write(state(40))
    assert [checkpoint.load(path)["iteration"] for path in again.older()] == [20]


def test_without_a_readable_state_the_newest_is_named(tmp_path: Path) -> None:
    checkpoints = written(tmp_path, 20, kept=1)
    checkpoints.newest.write_bytes(b"damaged")
    with pytest.raises(RunError, match=r"stage1\.pth: not a readable checkpoint"):
        checkpoints.read()


def test_other_stages_are_left_alone(tmp_path: Path) -> None:
    written(tmp_path, 20, 40)
    other = StageCheckpoints(RunFolder(tmp_path), "stage2", kept=1)
    assert other.read() is None
    other.write(state(60))
    assert (tmp_path / "checkpoints/stage1-0000020.pth").exists()


def test_where_files_can_have_one_name_only_they_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert [checkpoint.load(path)["iteration"] for path in written(tmp_path, 20, 40).older()] == [
        20
    ]


def test_a_full_disk_leaves_the_old_state_whole(tmp_path: Path) -> None:
    checkpoints = written(tmp_path, 20)
    before = checkpoints.newest.read_bytes()
    ended = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    assert "File too large" in ended.stderr
    assert checkpoints.newest.read_bytes() == before
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize(
    "damage",
    [{"model": 5}, {"optimizer": "x"}, {"schedule": None}],
    ids=["model", "optimizer", "schedule"],
)
def test_a_part_of_another_kind_is_one_line(damage: State) -> None:
    config = short_config(6, "MODEL.WEIGHTS", "", method="plain")
    state = Trainer(config, 1).state()
    with pytest.raises(RunError, match=r"doesn't fit its config\.yaml \(.+\); restore the file"):
        Trainer(config, 1).start({**state, **damage}, 0)
