"""Accuracy over the share of boxes that are removed, as a picture."""

import io
import math
from collections.abc import Sequence
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sparsedet.training.engine.loss_curves import PLOT_STYLE

from .summary import METHODS, Section

_LOOKS: dict[str, dict[str, Any]] = {
    "plain": {"color": "#6b7280", "marker": "s"},
    "staged": {"color": "#e07b00", "marker": "o"},
    "end-to-end": {"color": "#2f6fc4", "marker": "^"},
}
_PANEL_SIZE = 4.2, 3.3
"""Inches: width and height."""
_SHIFT = 1.0
"""Percent by which the methods stand beside each other, so that no error bar hides another."""


def plot(sections: Sequence[Section]) -> bytes | None:
    """Return a PNG picture with a panel for each section, None where there is nothing to show."""
    shown = [section for section in sections if _points(section)]
    if not shown:
        return None
    with matplotlib.style.context(["default", PLOT_STYLE]):
        width, height = _PANEL_SIZE
        figure = Figure(figsize=(width * len(shown), height), layout="constrained")
        panels = figure.subplots(1, len(shown), squeeze=False)[0]
        for panel, section in zip(panels, shown, strict=True):
            _draw(panel, section)
        handles = {
            label: handle
            for panel in figure.axes
            for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=len(handles))
        data = io.BytesIO()
        # Without the version of matplotlib the same figures make the same file.
        figure.savefig(data, format="png", dpi=160, metadata={"Software": None})
    return data.getvalue()


def _points(section: Section) -> dict[str, list[tuple[float, float, float]]]:
    """Return removed share in percent, mean AP and its deviation (nan: one seed), by method."""
    points: dict[str, list[tuple[float, float, float]]] = {}
    for row in section.rows:
        for method in METHODS:
            ap = row.spread(method, "AP")
            if ap and row.recipe == "random" and row.drop is not None:
                at = points.setdefault(method, [])
                deviation = math.nan if ap.deviation is None else ap.deviation
                at.append((100 * row.drop, ap.mean, deviation))
    return points


def _draw(panel: Any, section: Section) -> None:
    points = _points(section)
    for number, method in enumerate(METHODS):
        if method not in points:
            continue
        shares, means, deviations = zip(*points[method], strict=True)
        panel.errorbar(
            [share + (number - 1) * _SHIFT for share in shares],
            means,
            yerr=deviations,
            label=method,
            linewidth=1.8,
            markersize=5.5,
            elinewidth=1.2,
            capsize=3,
            **_LOOKS[method],
        )
    drops = sorted({share for at in points.values() for share, _, _ in at})
    panel.set_xticks(drops, [f"{share:.0f} %" for share in drops])
    # The same in all panels, so that slopes compare.
    panel.set_xlim(-8, 100)
    panel.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
    panel.set_xlabel("boxes removed")
    panel.set_ylabel("AP")
    panel.set_title(section.setting.data)
    panel.grid(axis="y", color="#000000", alpha=0.12, linewidth=0.8)
    panel.set_axisbelow(True)
