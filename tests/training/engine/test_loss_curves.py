"""The plot of a run's metrics: its content, and its file."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from sparsedet.run_folder import RunFolder
from sparsedet.training.engine.loss_curves import curves_figure, write_curves

Points = list[list[float]]
"""Of (iteration, value)."""


def line(stage: str, iteration: int, total: float, **more: float) -> dict[str, Any]:
    losses = {"loss_cls": total / 2, "loss_box_reg": total / 4, **more}
    place = {"stage": stage, "iteration": iteration}
    return {**place, **losses, "total_loss": total, "lr": total / 1000, "memory_mib": 300.0}


def validation(stage: str, iteration: int, name: str, value: float) -> dict[str, Any]:
    return {"stage": stage, "iteration": iteration, "validation": name, "value": value}


STAGED = [
    line("stage1", 20, 4.0),
    validation("stage1", 20, "recall@100", 30.0),
    line("stage1", 30, 2.0),
    line("stage2", 40, 1.0, distillation_loss=0.0),
    line("stage2", 60, 0.5, distillation_loss=0.1),
    validation("stage2", 60, "recall@100", 50.0),
    line("stage3", 70, 0.25, distillation_loss=0.2),
]


def drawn(lines: list[dict[str, Any]]) -> Figure:
    figure = curves_figure(lines)
    assert figure is not None
    # Layout and ticks are made when it is drawn.
    figure.canvas.draw()
    return figure


def panel(figure: Figure, title: str) -> Axes:
    (found,) = (axes for axes in figure.axes if axes.get_title(loc="left") == title)
    return found


def curves(axes: Axes) -> dict[str, Points]:
    """Return the points of every curve; those between the stages are none."""
    return {
        str(curve.get_label()): np.asarray(curve.get_xydata()).tolist()
        for curve in axes.get_lines()
        if curve.get_linestyle() == "-"
    }


def stage_lines(axes: Axes) -> list[float]:
    return [
        float(np.asarray(mark.get_xdata())[0])
        for mark in axes.get_lines()
        if mark.get_linestyle() != "-"
    ]


def test_every_loss_is_a_curve_of_its_own() -> None:
    losses = panel(drawn(STAGED), "losses")
    shown = curves(losses)
    assert list(shown) == ["total_loss", "loss_cls", "loss_box_reg", "distillation_loss"]
    assert shown["total_loss"] == [[20, 4.0], [30, 2.0], [40, 1.0], [60, 0.5], [70, 0.25]]
    # Known from the second stage on.
    assert shown["distillation_loss"] == [[40, 0.0], [60, 0.1], [70, 0.2]]
    legend = losses.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == list(shown)
    assert losses.get_yscale() == "log"


def test_curves_differ_in_more_than_colour() -> None:
    shown = panel(drawn(STAGED), "losses").get_lines()[:4]
    looks = [(curve.get_color(), curve.get_marker()) for curve in shown]
    assert len({colour for colour, _ in looks}) == len({marker for _, marker in looks}) == 4


def test_the_stages_are_separated_and_named() -> None:
    figure = drawn(STAGED)
    assert [stage_lines(axes) for axes in figure.axes] == [[30, 60]] * 3
    names = [
        (text.get_text(), text.xy)
        for text in panel(figure, "losses").texts
        if isinstance(text, Annotation)
    ]
    assert names == [("stage1", (0, 1)), ("stage2", (30, 1)), ("stage3", (60, 1))]
    single = drawn([line("plain", 20, 4.0), line("plain", 40, 2.0)])
    assert not any(stage_lines(axes) for axes in single.axes)
    assert not panel(single, "losses").texts


def test_learning_rate_and_validation_have_panels() -> None:
    figure = drawn(STAGED)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "losses",
        "learning rate",
        "validation: recall@100",
    ]
    (rate,) = curves(panel(figure, "learning rate")).values()
    assert rate[0] == [20, 0.004]
    (recall,) = curves(panel(figure, "validation: recall@100")).values()
    assert recall == [[20, 30.0], [60, 50.0]]
    assert len(drawn(STAGED[2:5]).axes) == 2
    both = drawn([*STAGED, validation("stage3", 70, "AP", 10.0)])
    assert list(curves(panel(both, "validation: recall@100")).values()) == [recall]
    assert list(curves(panel(both, "validation: AP")).values()) == [[[70, 10.0]]]


def test_a_single_point_is_seen() -> None:
    figure = drawn([line("plain", 3, 4.0), validation("plain", 3, "AP", 1.0)])
    for axes in figure.axes:
        for curve in axes.get_lines():
            assert curve.get_marker() not in ("", "None")
        left, right = axes.get_xlim()
        assert left < 3 < right


def test_the_picture_is_written_into_the_run_folder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert write_curves(run) is None
    run.metrics.write_text(json.dumps(validation("plain", 1, "AP", 1.0)) + "\n")
    assert write_curves(run) is None
    # A killed process may have left half a line.
    run.metrics.write_text("".join(json.dumps(one) + "\n" for one in STAGED) + '{"stage": "st')
    assert write_curves(run) == run.curves == tmp_path / "curves.png"
    picture = cv2.imread(str(run.curves))
    assert picture is not None
    assert picture.shape[1] > 800
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "metrics.json"]
