"""Runs the command line in a pseudo-terminal, and records what was visible when."""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyte

_LIMIT = 300
"""Seconds that a command may take."""

Rows = tuple[str, ...]
"""What is on the screen and above it, without what is blank."""


@dataclass(frozen=True)
class Session:
    """What a command has shown."""

    status: int
    seen: tuple[Rows, ...]
    """The rows after each time that something was written."""
    out: bytes
    """What went into a pipe instead, where stdout was one."""

    @property
    def rows(self) -> Rows:
        """What was left in the end."""
        return self.seen[-1]


class _Screen(pyte.HistoryScreen):
    """Keeps what has scrolled out of sight."""

    def rows(self) -> Rows:
        above = ["".join(line[x].data for x in range(self.columns)) for line in self.history.top]
        return tuple(row.rstrip() for row in (*above, *self.display) if row.strip())


def in_terminal(
    *arguments: str | Path,
    columns: int,
    lines: int = 24,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    program: Sequence[str] = ("-m", "sparsedet"),
    press: Callable[[Rows], bytes | None] = lambda rows: None,
    pipe_stdout: bool = False,
) -> Session:
    """Run `sparsedet` in a terminal of so many columns.

    Args:
        arguments: of the command.
        columns: of the terminal.
        lines: of the terminal; what scrolls out of it is kept.
        cwd: the current folder.
        env: is added to the environment.
        program: what Python runs.
        press: is shown the rows whenever they change, and returns what the person types then.
        pipe_stdout: stdout is a pipe, only the rest is the terminal.
    """
    reading, writing = os.pipe()
    process, terminal = pty.fork()
    if process == 0:
        # The size is there before anything is drawn.
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        if pipe_stdout:
            os.dup2(writing, 1)
        os.chdir(cwd)
        environment = {**os.environ, "TERM": "xterm-256color", **(env or {})}
        for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
            environment.pop(name, None)
        words = [sys.executable, *program, *map(str, arguments)]
        os.execve(sys.executable, words, environment)
    os.close(writing)
    screen = _Screen(columns, lines, history=1000)
    stream = pyte.ByteStream(screen)
    seen: list[Rows] = [()]
    deadline = time.monotonic() + _LIMIT
    with os.fdopen(terminal, "r+b", buffering=0) as keyboard, os.fdopen(reading, "rb") as piped:
        while data := _read(terminal, deadline, process):
            stream.feed(data)
            seen.append(screen.rows())
            if seen[-1] and seen[-1] != seen[-2] and (keys := press(seen[-1])):
                keyboard.write(keys)
        _, status = os.waitpid(process, 0)
        return Session(os.waitstatus_to_exitcode(status), tuple(seen), piped.read())


def _read(terminal: int, deadline: float, process: int) -> bytes:
    """Return what was written next; nothing when the command has ended."""
    ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
    if not ready:
        os.kill(process, signal.SIGKILL)
        raise TimeoutError("the command takes too long")
    try:
        return os.read(terminal, 65536)
    except OSError:
        # The other end is closed.
        return b""
