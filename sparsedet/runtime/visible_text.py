"""Print text and nothing else: anything that would control a terminal is escaped.

Names of labels, files, projects and people are untrusted, and so are servers' error messages. An
escape sequence in them could colour, erase or forge what a person reads, or type for them.
"""

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterable
from typing import Any, TextIO

_STEERS = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # change text direction
    "\u2028\u2029\ufff9-\ufffb\U000e0000-\U000e007f"  # break lines, or are invisible
    "\ud800-\udfff"  # not characters: non-UTF-8 bytes of file names, lone surrogates
    "]"
)
_SPACE = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
_BYTES = range(0xDC80, 0xDD00)
"""Python's surrogates for the bytes 0x80 to 0xff in a non-UTF-8 file name."""


def escaped(text: str) -> str:
    """Escape `\\x1b` and the like visibly; tabs and newlines stay."""
    return _STEERS.sub(_escape, text)


def one_line(text: str) -> str:
    """Return a text as one line: line breaks become spaces, the rest as in `escaped`."""
    return escaped(_SPACE.sub(" ", text))


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number - 0xDC00:02x}" if number in _BYTES else ascii(found[0])[1:-1]


class VisibleStream:
    """Replaces stdout or stderr, and prints text as returned by `escaped`.

    Characters missing from the stream's encoding are escaped, too, so that no name can crash a
    command.
    """

    encoding = "utf-8"
    """Any text may be written; otherwise click would write to the underlying buffer."""

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
    """Formats a log record as one line; a traceback keeps its own lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return one_line(super().formatMessage(record))


def show_escaped() -> None:
    """Print only visible text from now on: messages, logs and tracebacks of any library.

    It is never undone: the last thing that Python prints may be a traceback.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, VisibleStream):
            setattr(sys, name, VisibleStream(stream))


def log_to_stderr(level: int) -> None:
    """Log to stderr, one line per record, unless logging is already configured."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLineFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])


def hide_library_warnings() -> None:
    """Hide warnings of libraries: users can't fix deprecations inside torch and detectron2."""
    warnings.filterwarnings("ignore", module=r"torch|detectron2|fvcore|PIL")
    # Processes that are spawned import torch before they run any code of ours.
    os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning")
