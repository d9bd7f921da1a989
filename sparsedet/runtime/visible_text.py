"""What is printed is text and nothing else: whatever would steer a terminal is shown escaped.

Names of labels, files, projects and people come from strangers, and so do errors of servers. An
escape sequence among them could colour, erase or forge what a person reads, or type for them.
"""

import logging
import re
import sys
from collections.abc import Iterable
from typing import Any, TextIO

_STEERS = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # turn the order of letters around
    "\u2028\u2029\ufff9-\ufffb\U000e0000-\U000e007f"  # break lines, or can't be seen
    "\ud800-\udfff"  # no characters: bytes of file names that are no UTF-8, halves of pairs
    "]"
)
_SPACE = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
_BYTES = range(0xDC80, 0xDD00)
"""How Python has the bytes 0x80 to 0xff of a file name that is no UTF-8."""


def escaped(text: str) -> str:
    """Return a text in which `\\x1b` and the like can be read; tabs and newlines stay."""
    return _STEERS.sub(_escape, text)


def one_line(text: str) -> str:
    """Return a text as one line: with spaces for line breaks, and the rest as `escaped` has it."""
    return escaped(_SPACE.sub(" ", text))


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number - 0xDC00:02x}" if number in _BYTES else ascii(found[0])[1:-1]


class VisibleStream:
    """Takes the place of stdout or stderr, and prints what it is given as `escaped` returns it.

    What the stream's encoding lacks is escaped, too, so that no name can end a command.
    """

    encoding = "utf-8"
    """Any text may be written; else click would look for the bytes below, and write past this."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Print a text."""
        shown = escaped(text)
        if not shown.isascii():
            encoding = self._stream.encoding or "utf-8"
            shown = shown.encode(encoding, "backslashreplace").decode(encoding)
        self._stream.write(shown)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Print several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class OneLineFormatter(logging.Formatter):
    """Formats a log record as one line; a traceback below it keeps its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return one_line(super().formatMessage(record))


def show_escaped() -> None:
    """Print nothing but text from now on: messages, warnings, logs and tracebacks of any library.

    It is never taken back: the last thing that Python prints may be a traceback.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, VisibleStream):
            setattr(sys, name, VisibleStream(stream))


def log_to_stderr(level: int) -> None:
    """Log to stderr, a line for each record, where nothing else was set up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLineFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
