"""The comparison of two files as a self-contained HTML page."""

from pathlib import Path
from typing import NamedTuple

from sparsedet import __version__
from sparsedet.atomic_io import write_text
from sparsedet.comparison.comparison import Comparison
from sparsedet.comparison.explanations import LEVEL
from sparsedet.comparison.tables import Row
from sparsedet.reporting import html_template
from sparsedet.reporting.pictures import MINED

BAR_WIDTH = 320
"""Length of a bar for a share of 1, in SVG units."""


class _Bar(NamedTuple):
    """A row's bar, in SVG units."""

    length: float
    low: float
    high: float


def write_page(comparison: Comparison, path: Path, *, title: str) -> None:
    """Write the page of a comparison, atomically.

    Args:
        comparison: What it shows.
        path: The HTML file.
        title: Heading, as plain text.
    """
    page = html_template("comparison.html", number=_number, percent=_percent, bar=_bar)
    text = page.render(
        title=title,
        comparison=comparison,
        width=BAR_WIDTH,
        overall=round(comparison.total.share * BAR_WIDTH, 1),
        colour=MINED.css_colour,
        level=LEVEL,
        version=__version__,
    )
    write_text(path, text)


def _bar(row: Row) -> _Bar:
    return _Bar(*(round(value * BAR_WIDTH, 1) for value in (row.share, row.low, row.high)))


def _number(value: int) -> str:
    return f"{value:,}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
