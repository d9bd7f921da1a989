"""The comparison as one HTML page that holds everything it shows."""

from dataclasses import dataclass
from pathlib import Path

import jinja2

from sparsedet import __version__
from sparsedet.atomic_io import write_text
from sparsedet.comparison.comparison import Comparison
from sparsedet.comparison.explanations import LEVEL
from sparsedet.comparison.tables import Row
from sparsedet.reporting.styles import MINED

BAR_WIDTH = 320
"""Units of the drawing: a share of 1."""


@dataclass(frozen=True, slots=True)
class _Bar:
    """A row's bar, in units of the drawing."""

    length: float
    low: float
    high: float


def write_page(comparison: Comparison, path: Path, *, title: str) -> None:
    """Write the page of a comparison, atomically.

    Args:
        comparison: what it shows.
        path: the HTML file.
        title: heading, plain text.
    """
    page = _environment().get_template("comparison.html")
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


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PackageLoader("sparsedet.comparison", ""),
                jinja2.PackageLoader("sparsedet.reporting", ""),  # the style of all pages
            ]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=lambda value: f"{value:,}",
        percent=lambda share: f"{100 * share:.1f} %",
        bar=_bar,
    )
    return environment
