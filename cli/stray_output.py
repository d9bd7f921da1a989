"""Capture of what libraries such as libpng, and worker processes, print on the terminal.

They would break the live line. While it is drawn, their output goes into a pipe, and a thread
prints it above the line.
"""

import os
import sys
import threading
from collections.abc import Callable

_STDOUT, _STDERR = 1, 2
_CHUNK = 4096


class StrayOutput:
    """Replaces this process's terminal at the level of file descriptors.

    Args:
        say: receives each distinct printed line once, in a thread.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said: set[str] = set()
        self._reading, self._writing = os.pipe()
        # Results redirected to a file or pipe are not captured.
        self._kept = {number: os.dup(number) for number in (_STDOUT, _STDERR) if os.isatty(number)}
        self.terminal = os.fdopen(os.dup(_STDERR), "w", encoding="utf-8", errors="replace")
        """The terminal itself, also while output is captured."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def catch(self) -> None:
        """Start to capture output."""
        self._lead(dict.fromkeys(self._kept, self._writing))

    def release(self) -> None:
        """Stop capturing output."""
        self._lead(self._kept)

    def close(self) -> None:
        """Stop capturing for good, after all captured lines were passed on."""
        self.release()
        os.close(self._writing)
        # A worker that is still running may keep the pipe open.
        self._reader.join(timeout=1.0)
        for copy in self._kept.values():
            os.close(copy)

    def _lead(self, places: dict[int, int]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, place in places.items():
            os.dup2(place, number)

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
        # A broken image causes the same message in every epoch.
        if text and text not in self._said:
            self._said.add(text)
            self._say(text)
