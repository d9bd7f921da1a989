"""The GPU check: what it finds wrong, and that it runs through where there is no GPU."""

import math
from collections.abc import Callable, Sequence

import pytest
import torch

from benchmarks.gpu_check import CheckFailed, difference, falls, main, run_checks, trained_once


def test_the_cpu_is_as_good_as_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--device", "cpu", "--iterations", "30"]) == 0
    device, *checks = capsys.readouterr().out.splitlines()
    assert device.startswith("device: ")
    names = ["first step, plain", "first step, end-to-end", "training", "step times"]
    assert [line.split(": ok, ")[0] for line in checks] == names
    assert "4 losses differ by 0.0e+00" in checks[0]
    # The self-supervised loss is among them.
    assert "5 losses differ by 0.0e+00" in checks[1]
    assert "30 steps" in checks[2]
    assert "ratio" in checks[3]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_cuda_it_says_so_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "no CUDA device: nothing was checked\n")


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


def test_a_failed_check_is_named_and_the_others_run(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> str:
        raise CheckFailed("too much")

    checks: dict[str, Callable[[], str]] = {"one": fail, "two": lambda: "fine"}
    assert run_checks(checks) == 1
    assert capsys.readouterr().out.splitlines() == ["one: FAILED, too much", "two: ok, fine"]
    assert run_checks({"two": checks["two"]}) == 0
