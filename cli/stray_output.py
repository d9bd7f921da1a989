"""What libraries write to the terminal by themselves, as libpng does, and the workers they start.

They know nothing of the line that is drawn there. While it is, they write into a pipe instead, and
a thread says what comes out of it.
"""

import os
import threading
from collections.abc import Callable

_STDERR = 2
_CHUNK = 4096


class StrayOutput:
    """Takes the place of this process's stderr, below Python's own.

    Args:
        say: receives each line that is written, once, in a thread.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said: set[str] = set()
        self._reading, self._writing = os.pipe()
        self._stderr = os.dup(_STDERR)
        self.terminal = open(os.dup(_STDERR), "w", encoding="utf-8", errors="replace")  # noqa: PTH123, SIM115
        """The terminal, whatever stderr is."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def catch(self) -> None:
        """Catch what is written from now on."""
        os.dup2(self._writing, _STDERR)

    def release(self) -> None:
        """Let stderr be the terminal again."""
        os.dup2(self._stderr, _STDERR)

    def close(self) -> None:
        """Release stderr for good, once everything is said."""
        self.release()
        os.close(self._writing)
        # A worker that is still there may keep the pipe open.
        self._reader.join(timeout=1.0)
        os.close(self._stderr)

    def _read(self) -> None:
        text = b""
        while chunk := os.read(self._reading, _CHUNK):
            *lines, text = (text + chunk).split(b"\n")
            for line in lines:
                self._say_line(line)
        self._say_line(text)
        os.close(self._reading)

    def _say_line(self, line: bytes) -> None:
        text = line.decode(errors="replace").strip()
        # An image that breaks is read again in every epoch.
        if text and text not in self._said:
            self._said.add(text)
            self._say(text)
