"""The progress of a training: its messages on terminals of any width, and without one."""

import pytest

from sparsedet.annotations import Box
from sparsedet.cli.display import live_display
from sparsedet.cli.training_progress import TrainingProgress
from sparsedet.training.data.pseudo_labels import PseudoLabels
from sparsedet.training.engine.callbacks import EarlyStop, StageProgress

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


def test_without_a_terminal_there_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with live_display() as display:
        progress = TrainingProgress(display)
        for iteration in range(38, 47):
            progress.iteration(step(iteration, 90))
    first, second = capsys.readouterr().err.splitlines()
    figures = (
        "loss 0.484  19.2 img/s  12.1 GiB  lr 0.00098  cls 0.250  box 0.125  rpn 0.062  "
        "rpn box 0.031  self 0.016"
    )
    assert first == f"stage1 40/90  left 0:00:00  {figures}"
    # The stage ends here.
    assert second == f"stage1 45/90  left 0:00:00  {figures}"


BOX = Box(1, 1, 1, (2.0, 2.0, 8.0, 14.0))


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        (
            PseudoLabels((BOX,), (1.0,), (BOX, BOX)),
            ["mined 1 box as labels; 2 doubtful ones"],
        ),
        (PseudoLabels((), (), ()), ["mined 0 boxes", "warning: without mined boxes"]),
        (
            PseudoLabels((), (), (), left_out=7),
            ["mined 0 boxes", "7 more are not used, because too few labels"],
        ),
        (
            PseudoLabels((BOX,), (0.4,), (BOX,), left_out=1),
            ["mined 1 box as labels, about 0 of them right; 1 doubtful", "1 more is not used"],
        ),
    ],
)
def test_what_becomes_of_mined_boxes_is_told(
    capsys: pytest.CaptureFixture[str], found: PseudoLabels, lines: list[str]
) -> None:
    with live_display() as display:
        TrainingProgress(display).mined(found)
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == len(lines)
    assert all(line.startswith(start) for line, start in zip(printed, lines, strict=True))


def test_an_early_end_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with live_display() as display:
        callbacks = TrainingProgress(display).callbacks()
        callbacks.on_early_stop(EarlyStop(400, 3000, 3, "AP", 34.25, 100))
    assert capsys.readouterr().err == (
        "stopped at iteration 400 of 3000: no better AP than 34.2, at iteration 100, whose weights "
        "are kept (SPARSEDET.VALIDATION.PATIENCE 3)\n"
    )


def said_of(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    iterations: range,
    total: int,
) -> list[str]:
    """Return what is said of iterations of so many seconds each, apart from their figures."""
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with live_display() as display:
        progress = TrainingProgress(display, "how to make it shorter")
        for iteration in iterations:
            clock[0] = seconds * iteration
            progress.iteration(step(iteration, total))
    return [line for line in capsys.readouterr().err.splitlines() if "loss" not in line]


def test_the_first_iterations_show_how_long_a_training_takes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said_of(capsys, monkeypatch, 0.5, range(1, 301), 300) == [
        "training takes about 2 min: 289 more iterations of 0.5 s, measured over the first 10; "
        "mining in between is not counted",
        "trained 300 iterations in 0:02:30",
    ]


def test_a_training_of_one_more_iteration(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (begun,) = said_of(capsys, monkeypatch, 1.0, range(1, 3), 3)
    assert "1 more iteration of 1 s" in begun
    assert said_of(capsys, monkeypatch, 1.0, range(3, 4), 3) == ["trained 1 iteration in 0:00:00"]


def test_a_long_training_says_how_to_make_it_shorter(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Resumed after most of its first stage.
    lines = said_of(capsys, monkeypatch, 4.0, range(600, 700), 4000)
    assert lines == [
        "training takes about 3 h 46 min: 3390 more iterations of 4 s, measured over the first "
        "10; mining in between is not counted",
        "how to make it shorter",
    ]


def test_a_training_of_a_few_iterations_is_measured_over_fewer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said, _ = said_of(capsys, monkeypatch, 1.0, range(1, 7), 6)
    assert said.startswith("training takes about 3 s: 3 more iterations of 1 s, measured over")


def test_every_run_is_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with live_display() as display:
        progress = TrainingProgress(display)
        for seconds in (1.0, 3.0):
            for iteration in range(1, 31):
                clock[0] += seconds
                progress.iteration(step(iteration, 30))
    lines = [line for line in capsys.readouterr().err.splitlines() if "takes about" in line]
    assert [line.split(":")[0] for line in lines] == [
        "training takes about 19 s",
        "training takes about 57 s",
    ]
