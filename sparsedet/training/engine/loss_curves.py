"""A plot of a training: losses, learning rate, and validation if there is any.

It shows the content of `metrics.json`, under the same names.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from sparsedet.atomic_io import atomic_path
from sparsedet.run_folder import RunFolder
from sparsedet.training.engine.metrics import read_metrics

Lines = Sequence[Mapping[str, Any]]
"""Lines of `metrics.json`."""

TOTAL = "total_loss"
PLOT_STYLE: dict[str, Any] = {
    "axes.edgecolor": "#444444",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "font.size": 10,
    "legend.frameon": False,
}
"""Matplotlib settings that differ from the defaults."""
_LOOKS = (
    ("#000000", "o"),
    ("#0072b2", "s"),
    ("#e69f00", "^"),
    ("#009e73", "D"),
    ("#cc79a7", "v"),
    ("#56b4e9", "P"),
    ("#d55e00", "X"),
)
"""A palette for any colour vision (M. Okabe and K. Ito, 2008), with a marker each, so that curves
don't depend on colour alone."""
_MARKERS = 12
"""Of every curve."""
_WIDTH = 8.0
_LOSSES_HEIGHT, _PANEL_HEIGHT = 3.6, 1.9
"""Inches."""


def write_curves(run: RunFolder) -> Path | None:
    """Write the curves of a run into its folder, atomically.

    Returns:
        The path of the plot, or None if no losses are recorded yet.
    """
    lines = read_metrics(run.metrics) if run.metrics.is_file() else []
    figure = curves_figure(lines)
    if figure is None:
        return None
    with atomic_path(run.curves) as temporary:
        # Without matplotlib's version, the same figures give the same file.
        figure.savefig(temporary, format="png", dpi=130, metadata={"Software": None})
    return run.curves


def curves_figure(lines: Lines) -> Figure | None:
    """Return the figure of a run's metrics; None if they contain no losses.

    The panels share the axis of iterations: losses, on a logarithmic scale, which has no room for a
    loss of 0; learning rate; a panel for each validation metric.
    """
    training = [line for line in lines if TOTAL in line]
    if not training:
        return None
    names = dict.fromkeys(line["validation"] for line in lines if "validation" in line)
    heights = [_LOSSES_HEIGHT, *[_PANEL_HEIGHT] * (1 + len(names))]
    with matplotlib.style.context(["default", PLOT_STYLE]):
        figure = Figure(figsize=(_WIDTH, sum(heights)), layout="constrained")
        losses, rate, *validations = figure.subplots(
            len(heights), 1, sharex=True, squeeze=False, height_ratios=heights
        )[:, 0]
        _draw_losses(losses, training)
        _draw_curve(rate, "learning rate", [(line["iteration"], line["lr"]) for line in training])
        rate.set_ylim(bottom=0)
        rate.yaxis.set_major_formatter("{x:g}")
        for panel, name in zip(validations, names, strict=True):
            values = [
                (line["iteration"], line["value"])
                for line in lines
                if line.get("validation") == name
            ]
            _draw_curve(panel, f"validation: {name}", values)
        for panel in figure.axes:
            _draw_frame(panel, training)
        _name_stages(losses, training)
        figure.axes[-1].set_xlabel("iteration")
    return figure


def _draw_losses(panel: Axes, training: Lines) -> None:
    """Draw every loss, the total first."""
    keys = dict.fromkeys(key for line in training for key in line)
    # detectron2's own come first, so that they look the same for all methods.
    own = [key for key in keys if key.startswith("loss_")]
    added = [key for key in keys if key.endswith("_loss") and key != TOTAL]
    for (colour, marker), key in zip(cycle(_LOOKS), [TOTAL, *own, *added]):
        points = [(line["iteration"], line[key]) for line in training if key in line]
        iterations, values = zip(*points, strict=True)
        panel.plot(
            iterations,
            values,
            label=key,
            color=colour,
            linewidth=2.2 if key == TOTAL else 1.5,
            marker=marker,
            markersize=5.5,
            markeredgecolor="#ffffff",
            markeredgewidth=0.8,
            markevery=max(1, len(points) // _MARKERS),
        )
    panel.set_yscale("log", nonpositive="mask")
    panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panel.yaxis.set_major_formatter("{x:g}")
    panel.yaxis.set_minor_locator(NullLocator())
    panel.set_title("losses", pad=18 if _stage_ends(training) else None)
    panel.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _draw_curve(panel: Axes, title: str, points: Sequence[tuple[int, float]]) -> None:
    iterations, values = zip(*points, strict=True)
    colour, _ = _LOOKS[1]
    few = len(points) <= 2 * _MARKERS
    panel.plot(iterations, values, color=colour, linewidth=1.8, marker="o" if few else "", ms=4.5)
    panel.set_title(title)
    panel.margins(y=0.15)


def _draw_frame(panel: Axes, training: Lines) -> None:
    """Draw what all panels have: stage boundaries and grid lines."""
    for end in _stage_ends(training):
        panel.axvline(end, color="#444444", linewidth=1, linestyle=(0, (4, 3)))
    panel.set_xlim(0, training[-1]["iteration"] * 1.02)
    panel.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    panel.grid(axis="y", color="#000000", alpha=0.12, linewidth=0.8)
    panel.set_axisbelow(True)


def _name_stages(panel: Axes, training: Lines) -> None:
    """Write the stages' names above them, if there are several."""
    stages = list(dict.fromkeys(line["stage"] for line in training))
    if len(stages) == 1:
        return
    for stage, start in zip(stages, [0, *_stage_ends(training)], strict=True):
        panel.annotate(
            stage,
            (start, 1),
            xycoords=panel.get_xaxis_transform(),
            xytext=(4, 4),
            textcoords="offset points",
            fontsize=9,
            color="#444444",
        )


def _stage_ends(training: Lines) -> list[int]:
    """Return the last iterations of all stages but the last."""
    return [
        line["iteration"] for line, after in pairwise(training) if line["stage"] != after["stage"]
    ]
