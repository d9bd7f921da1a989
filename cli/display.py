"""The live display: one status line below all messages.

Messages of a running command go through the display, which erases the line before a message and
redraws it afterwards. The line is shown only while work is in progress, so that prompts have the
terminal to themselves. Without a terminal, plain lines are printed.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sparsedet.push_modes import Progress

from .output import draws, echo, route_messages, say, wrapped
from .time_left import TimeLeft, Work, shown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from .live_line import LiveLine
    from .stray_output import StrayOutput

_REFRESHES = 8
"""Redraws per second."""
_QUIET = 30.0
"""Seconds between progress lines when there is no terminal."""


class Display:
    """Shows the progress of one task at a time.

    Args:
        console: the terminal's console; None if there is no terminal.
        stray: captures other output while the line is drawn.
    """

    def __init__(self, console: "Console | None", stray: "StrayOutput | None" = None) -> None:
        self._console = console
        self._stray = stray
        self._live: Live | None = None
        self._line: LiveLine | None = None
        self._times = TimeLeft()
        self._last: tuple[str, int] | None = None
        self._spoke = 0.0

    @property
    def is_drawn(self) -> bool:
        """Whether there is a terminal."""
        return self._console is not None

    def say(self, text: str) -> None:
        """Print a message above the line."""
        if self._console is None:
            echo(text, err=True)
            return
        from rich.text import Text

        # Text, because brackets in names from a server are not markup.
        lines = Text(wrapped(text, self._console.width))
        self._console.print(lines, no_wrap=True, overflow="ignore", crop=False)

    def progress(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` steps are done; the line disappears when all are."""
        if self._last is None or self._last[0] != what or done < self._last[1]:
            self._times = TimeLeft()
            self._spoke = time.monotonic()
        self._last = what, done
        left = self._times.after(done, total)
        self.show(Work(what, done, total, left))
        now = time.monotonic()
        if not self.is_drawn and 1 <= done < total and now - self._spoke > _QUIET:
            self._spoke = now
            self.say(f"{what} {done}/{total}  left {shown(left)}")

    def show(self, work: Work) -> None:
        """Draw `work` instead of what was drawn before; does nothing without a terminal."""
        if self._console is None:
            return
        if work.done >= work.total:
            self.clear()
            return
        from rich.live import Live

        from .live_line import LiveLine

        if self._line is None:
            self._line = LiveLine()
        self._line.show(work)
        if self._live is None:
            self._live = Live(
                self._line,
                console=self._console,
                transient=True,
                refresh_per_second=_REFRESHES,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            if self._stray is not None:
                self._stray.catch()
            self._live.start(refresh=True)

    def clear(self) -> None:
        """Erase the line, when work is done or before a prompt."""
        live, self._live = self._live, None
        self._last = None
        if live is not None:
            live.stop()
            if self._stray is not None:
                self._stray.release()


_active: Display | None = None


@contextmanager
def live_display() -> Iterator[Display]:
    """Yield the command's display; nested calls yield the same one."""
    global _active
    if _active is not None:
        yield _active
        return
    _active = display = Display(None)
    stray = None
    if draws():
        from rich.console import Console

        from .stray_output import StrayOutput

        stray = StrayOutput(say)
        console = Console(file=stray.terminal, force_terminal=True)
        _active = display = Display(console, stray)
    route_messages(display.say)
    try:
        yield display
    finally:
        display.clear()
        if stray is not None:
            stray.close()
        _active = None
        route_messages(None)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Yield a callable `progress(what, done, total)` that draws on the live display."""
    with live_display() as display:
        yield display.progress


def _leave_to_parent() -> None:
    """Silence a forked data loader worker; its parent reports instead.

    The drawing thread does not survive a fork, and a lock that it held would never be released.
    """
    global _active
    _active = None
    route_messages(None)


os.register_at_fork(after_in_child=_leave_to_parent)
