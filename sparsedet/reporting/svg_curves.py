"""Curves over rounds as an inline SVG element for HTML pages."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_INK = "#010203"
"""Placeholder for the page's text colour, which depends on its light or dark mode."""
_STYLE: dict[str, Any] = {
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titlepad": 12,
    "font.size": 10,
    "savefig.transparent": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "sparsedet",
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}
_PANEL_SIZE = 4.6, 2.7
"""Inches: width and height."""
_ROOM_ABOVE = 1.15
"""Top of the axis relative to the highest point, whose value is written above it."""
_MAX_VALUES = 12
"""Most points drawn with their values, which would overlap beyond that."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One quantity over the rounds, in axes of its own that start at 0."""

    title: str
    labels: Sequence[str]
    """Names of the points on the horizontal axis."""
    values: Sequence[float | None]
    """One for each label; None where it was not measured."""
    colour: str
    """`#rrggbb`, visible on white and on black."""
    decimals: int = 0
    top: float | None = None
    """Top of the axis; None: above the highest value."""


def curves_svg(curves: Sequence[Curve]) -> str:
    """Return a reproducible `<svg>` element with one or more curves side by side.

    Text and axes have the colour of the surrounding text.
    """
    with matplotlib.style.context(["default", _STYLE]):
        width, height = _PANEL_SIZE
        figure = Figure(figsize=(width * len(curves), height), layout="constrained")
        axes = figure.subplots(1, len(curves), squeeze=False)[0]
        for panel, curve in zip(axes, curves, strict=True):
            _draw(panel, curve)
        text = io.StringIO()
        unset = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", metadata=unset)
    # An XML declaration and a document type come first, which HTML does not allow.
    svg = text.getvalue()
    return svg[svg.index("<svg") :].replace(_INK, "currentColor")


def _draw(panel: Any, curve: Curve) -> None:
    values = [float("nan") if value is None else value for value in curve.values]
    positions = range(len(curve.labels))
    panel.plot(positions, values, color=curve.colour, linewidth=2, marker="o", markersize=5)
    measured = [value for value in curve.values if value is not None]
    panel.set_ylim(0, curve.top or max([*measured, 1]) * _ROOM_ABOVE)
    panel.set_xlim(-0.4, len(curve.labels) - 0.6)
    panel.set_xticks(positions, curve.labels)
    panel.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
    panel.yaxis.set_major_formatter("{x:,.0f}")
    panel.set_title(curve.title)
    panel.set_xlabel("round")
    panel.grid(axis="y", color=_INK, alpha=0.15, linewidth=0.8)
    panel.set_axisbelow(True)
    if len(curve.labels) > _MAX_VALUES:
        panel.locator_params(axis="x", nbins=_MAX_VALUES)
        return
    for position, value in enumerate(curve.values):
        if value is not None:
            panel.annotate(
                f"{value:,.{curve.decimals}f}",
                (position, value),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=9,
            )
