"""The progress of a training: what it tells on terminals of any width, and without one."""

import io
import re
from collections.abc import Iterator, Sequence

import pytest
from rich.console import Console
from rich.progress import Progress

from sparsedet.annotations import Box
from sparsedet.cli.training_progress import (
    Layout,
    TimeLeft,
    TrainingProgress,
    shown,
    training_progress,
)
from sparsedet.training.data.pseudo_labels import PseudoLabels
from sparsedet.training.engine.callbacks import StageProgress

LOSSES = {
    "loss_cls": 0.25,
    "loss_box_reg": 0.125,
    "loss_rpn_cls": 0.0625,
    "loss_rpn_loc": 0.03125,
    "distillation_loss": 0.015625,
    "total_loss": 0.484375,
}


def step(iteration: int, iterations: int = 270_000, stage: str = "stage1") -> StageProgress:
    return StageProgress(
        stage,
        iteration,
        iterations // 2,
        iterations,
        LOSSES,
        learning_rate=0.000984,
        images_per_second=19.25,
        memory_bytes=12_345 * 2**20,
    )


def times(*steps: tuple[int, float], total: int = 1000) -> Iterator[float | None]:
    """Yield the seconds left behind every step: (number of steps done, clock)."""
    left = TimeLeft()
    for done, clock in steps:
        yield left.after(done, total, clock)


def test_the_time_left_is_that_of_the_latest_steps() -> None:
    assert list(times((1, 10.0), (2, 12.0), (3, 16.0))) == [None, 2.0 * 998, 3.0 * 997]
    # 60 steps of 4 seconds, then 50 of 1 second: the former are forgotten.
    steps = [(n, 4.0 * n) for n in range(60)] + [(60 + n, 240.0 + n) for n in range(51)]
    assert list(times(*steps))[-1] == 1.0 * (1000 - 110)


def test_resuming_counts_no_step_that_was_done_before() -> None:
    assert list(times((401, 0.0), (402, 2.0))) == [None, 2.0 * 598]


def test_a_pause_is_no_step() -> None:
    """Half an hour of mining between two steps of a second."""
    before = [(n, float(n)) for n in range(1, 11)]
    after = [(n, 1800.0 + n) for n in range(11, 14)]
    assert list(times(*before, *after))[-3:] == [989.0, 988.0, 987.0]


def test_another_run_begins_anew() -> None:
    assert list(times((999, 0.0), (1000, 1.0), (1, 500.0), (2, 501.0)))[2:] == [999.0, 998.0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-:--:--"), (0.2, "0:00:00"), (59.6, "0:01:00"), (90_000.0, "1 day, 1:00:00")],
)
def test_times_are_shown_in_hours(seconds: float | None, text: str) -> None:
    assert shown(seconds) == text


def test_without_a_terminal_there_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with training_progress() as progress:
        for iteration in range(38, 47):
            progress.iteration(step(iteration, 90))
    first, second = capsys.readouterr().err.splitlines()
    figures = (
        "loss 0.484  cls 0.250  box 0.125  rpn 0.062  rpn box 0.031  self 0.016  lr 0.00098  "
        "19.2 img/s  12.1 GiB"
    )
    assert first == f"stage1 40/90  left 0:00:00  {figures}"
    # The stage ends here.
    assert second == f"stage1 45/90  left 0:00:00  {figures}"


BOX = Box(1, 1, 1, (2.0, 2.0, 8.0, 14.0))


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        (PseudoLabels((BOX,), (BOX, BOX)), ["mined 1 boxes as labels; 2 more are in doubt"]),
        (PseudoLabels((), ()), ["mined 0 boxes", "warning: without a mined box"]),
        (
            PseudoLabels((), (), left_out=7),
            ["mined 0 boxes", "7 more are not used: too few labels seem to be missing"],
        ),
        (PseudoLabels((BOX,), (), left_out=7), ["mined 1 boxes", "7 more are not used"]),
    ],
)
def test_what_becomes_of_mined_boxes_is_told(
    capsys: pytest.CaptureFixture[str], found: PseudoLabels, lines: list[str]
) -> None:
    with training_progress() as progress:
        progress.mined(found)
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == len(lines)
    assert all(line.startswith(start) for line, start in zip(printed, lines, strict=True))


def screen(width: int, *steps: StageProgress, mined: Sequence[int] = ()) -> list[str]:
    """Return what is drawn on a terminal, line by line."""
    console = Console(file=io.StringIO(), width=width, record=True)
    layout = Layout.of(width)
    bars = Progress(*layout.columns, console=console, auto_refresh=False)
    progress = TrainingProgress(bars, layout)
    for one in steps:
        progress.iteration(one)
    for done in mined:
        progress.mining(done, 3)
    console.print(bars.get_renderable())
    return [line.strip() for line in console.export_text().splitlines()]


@pytest.mark.parametrize(
    ("width", "losses", "gap", "has_bar"),
    [
        (80, ["loss"], " ", False),
        (105, ["loss"], "  ", True),
        (165, ["loss", "cls", "box", "rpn", "rpn box", "self"], "  ", True),
    ],
)
def test_all_figures_fit_in_the_line(
    width: int, losses: list[str], gap: str, has_bar: bool
) -> None:
    (line,) = screen(width, step(123_455), step(123_456))
    assert line.startswith("training ")
    assert "123456/270000" in line
    assert "left 0:0" in line
    assert line.endswith(gap.join(["lr 0.00098", "19.2 img/s", "12.1 GiB"]))
    assert all(f" {name} 0." in line for name in losses)
    assert ("━" in line) is has_bar


def test_every_mining_has_a_line_of_its_own() -> None:
    lines = screen(105, step(400), mined=[1, 2, 3, 1, 2])
    done = [re.findall(r"^[a-z]+|[0-9]+/[0-9]+", line) for line in lines]
    assert done == [["training", "400/270000"], ["mining", "3/3"], ["mining", "2/3"]]
