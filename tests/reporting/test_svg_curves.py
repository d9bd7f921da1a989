"""Curves as SVG."""

import re
from collections.abc import Sequence
from itertools import pairwise

from sparsedet.reporting.svg_curves import Curve, curve_svg


def _heights(
    labels: Sequence[str], values: Sequence[float], places: Sequence[float]
) -> list[float]:
    """Return the vertical positions of a curve's labels."""
    spans = [(value, value) for value in values]
    curve = Curve("Complete", labels, values, "#d08020", top=100, places=places, spans=spans)
    svg = curve_svg(curve, "complete")
    found = []
    for label in labels:
        (y,) = re.findall(rf'y="([\d.]+)"[^>]*>{re.escape(label)}<', svg)
        found.append(float(y))
    return found


def test_labels_of_points_close_to_each_other_do_not_overlap() -> None:
    labels = ["round 1: 88", "round 2: 99", "round 3: 100", "round 4: 100"]
    heights = sorted(_heights(labels, [88, 99, 100, 100], [6, 12.8, 12.9, 13])[1:])
    assert all(after - before > 9 for before, after in pairwise(heights))


def test_other_labels_stay_next_to_their_points() -> None:
    low, high = _heights(["round 1: 20", "round 2: 70"], [20, 70], [6, 6.1])
    alone = _heights(["round 2: 70"], [70], [6.1])
    assert low > high
    assert [high] == alone
