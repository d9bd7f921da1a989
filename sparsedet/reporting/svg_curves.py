"""Curves as inline SVG elements for HTML pages."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_INK = "#010203"
"""Placeholder for the page's text colour, which depends on light or dark mode."""
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
_NEAR_TOP = 0.9
"""The same for a fixed axis top: above that there is no room for text."""
_ID = re.compile(r'\bid="|url\(#|href="#')
"""Prefixes of an id, or of a reference to one."""
_MAX_VALUES = 12
"""Maximum number of points with values, which would overlap beyond that."""
_CHARACTER = 0.018, 0.08
"""Width and height of a label's character, as shares of the axes."""
_LINE = 11
"""Distance between labels that would overlap, in points."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One quantity, with its own axes starting at 0."""

    title: str
    labels: Sequence[str]
    """Names of the points."""
    values: Sequence[float | None]
    """One per label; None if not measured."""
    colour: str
    """`#rrggbb`, visible on white and on black."""
    decimals: int = 0
    top: float | None = None
    """Top of the axis; None: above the highest value."""
    horizontal: str = "round"
    """Label of the horizontal axis."""
    places: Sequence[float] = ()
    """Horizontal positions of the points, with their labels next to them; empty: equally spaced,
    with labels below the axis and values at the points."""
    end: float | None = None
    """End of the horizontal axis if `places` are given; None: after the last point."""
    spans: Sequence[tuple[float, float]] = ()
    """Lower and upper bound of each value; empty: none are drawn."""
    diagonal: bool = False
    """Whether to draw the diagonal."""


def curve_svg(curve: Curve, name: str) -> str:
    """Return a reproducible `<svg>` element.

    Text and axes have the colour of the surrounding text.

    Args:
        curve: The curve.
        name: Prefix of its ids, which have to be unique in a page.
    """
    with matplotlib.style.context(["default", _STYLE]):
        figure = Figure(figsize=_PANEL_SIZE, layout="constrained")
        _draw(figure.subplots(), curve)
        text = io.StringIO()
        unset = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", metadata=unset)
    # Skip the XML declaration and document type, which HTML does not allow.
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    return _ID.sub(rf"\g<0>{name}-", svg)


def _draw(panel: Any, curve: Curve) -> None:
    values = [float("nan") if value is None else value for value in curve.values]
    positions = curve.places or range(len(curve.labels))
    if curve.diagonal:
        panel.plot((0, curve.top), (0, curve.top), color=_INK, alpha=0.4, linestyle="--")
    if curve.spans:
        lows, highs = zip(*curve.spans, strict=True)
        panel.vlines(positions, lows, highs, color=curve.colour, alpha=0.45, linewidth=3)
    panel.plot(positions, values, color=curve.colour, linewidth=2, marker="o", markersize=5)
    measured = [value for value in curve.values if value is not None]
    panel.set_ylim(0, curve.top or max([*measured, 1]) * _ROOM_ABOVE)
    if curve.places:
        panel.set_xlim(0, curve.end or max([*curve.places, 1]) * _ROOM_ABOVE)
    else:
        panel.set_xlim(-0.4, len(curve.labels) - 0.6)
        panel.set_xticks(positions, curve.labels)
    panel.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
    panel.yaxis.set_major_formatter("{x:,.0f}")
    panel.set_title(curve.title)
    panel.set_xlabel(curve.horizontal)
    panel.grid(axis="y", color=_INK, alpha=0.15, linewidth=0.8)
    panel.set_axisbelow(True)
    if len(curve.labels) > _MAX_VALUES:
        panel.locator_params(axis="x", nbins=_MAX_VALUES)
        return
    width, height = panel.get_xlim()[1], panel.get_ylim()[1]
    line, last = 0, ("", float("-inf"), 0.0)
    for label, position, value in zip(curve.labels, positions, curve.values, strict=True):
        if value is None:
            continue
        overlaps = (
            position - last[1] < _CHARACTER[0] * len(last[0]) * width
            and abs(value - last[2]) < _CHARACTER[1] * height
        )
        line = line + 1 if curve.places and overlaps else 0
        last = label, position, value
        _write_at(panel, curve, label, (position, value), line)


def _write_at(panel: Any, curve: Curve, label: str, point: tuple[float, float], line: int) -> None:
    """Write a value above its point; at the top of the axis, below it.

    Args:
        panel: the axes.
        curve: its curve.
        label: name of the point.
        point: position and value.
        line: number of labels of points close before it, which must not overlap.
    """
    position, value = point
    room = curve.top is None or value < _NEAR_TOP * curve.top
    panel.annotate(
        label if curve.places else f"{value:,.{curve.decimals}f}",
        (position, value),
        # Intervals would cross text above or below a point.
        xytext=(6 if curve.spans else 0, 7 + _LINE * line if room else -15 - _LINE * line),
        textcoords="offset points",
        ha="left" if curve.spans else "center",
        fontsize=9,
    )
