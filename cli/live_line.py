"""The line of the live display, fitted to the terminal's width."""

import time
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from sparsedet.runtime.visible_text import one_line

from .time_left import Work, shown

_MARGIN = 3
"""Columns left free, so that a terminal's `^C` does not wrap the line."""
_LEAST_BAR, _MOST_BAR = 8, 30


class LiveLine:
    """Draws the work in progress: a spinner, its name, and its progress."""

    def __init__(self) -> None:
        self._work: Work | None = None
        self._since = time.monotonic()
        self._spinner: Spinner | None = None
        self._figures: dict[int, int] = {}

    def show(self, work: "Work") -> None:
        """Draw this from now on."""
        if self._work is None or self._work.what != work.what or work.done < self._work.done:
            self._since = time.monotonic()
            self._figures = {}
        self._work = work

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        work, width = self._work, max(options.max_width - _MARGIN, 1)
        if work is None:
            return
        if self._spinner is None:
            self._spinner = Spinner("line" if options.ascii_only else "dots")
        cells: list[Text | ProgressBar] = []
        what = Text(one_line(work.what))
        what.truncate(width - 2, overflow="crop" if options.ascii_only else "ellipsis")
        room = width - 2 - what.cell_len
        if work.total <= 1:
            texts = [shown(time.monotonic() - self._since)]
        else:
            texts = [f"{work.done}/{work.total}"]
            if work.left is not None:
                texts.append(f"left {shown(work.left)}")
        for text in texts:
            if cell_len(text) + 1 <= room:
                cells.append(Text(text))
                room -= cell_len(text) + 1
        if work.total > 1 and room > _LEAST_BAR:
            shown_figures = self._fitting(work.figures, options.max_width, room - _LEAST_BAR - 1)
            room -= sum(cell_len(figure) + 1 for figure in shown_figures)
            bar = ProgressBar(work.total, work.done, width=min(room - 1, _MOST_BAR))
            cells = [bar, *cells, *map(Text, shown_figures)]
        grid = Table.grid(padding=(0, 1), pad_edge=False)
        spinner = self._spinner.render(console.get_time())
        grid.add_row(spinner, what, *cells)
        yield grid

    def _fitting(self, figures: Sequence[str], width: int, room: int) -> list[str]:
        """Return the first figures that fit; one that did not fit once does not come back.

        Otherwise figures whose width varies would make the line flicker.
        """
        kept: list[str] = []
        for figure in figures[: self._figures.get(width, len(figures))]:
            room -= cell_len(figure) + 1
            if room < 0:
                break
            kept.append(figure)
        self._figures[width] = len(kept)
        return kept
