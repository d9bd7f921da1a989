"""What libraries print on the terminal by themselves, as libpng does, and the workers they start.

They know nothing of the line that is drawn there. While it is, they print into a pipe instead, and
a thread says what comes out of it.
"""

import os
import sys
import threading
from collections.abc import Callable

_STDOUT, _STDERR = 1, 2
_CHUNK = 4096


class StrayOutput:
    """Takes the place of this process's terminal, below Python's own streams.

    Args:
        say: receives each line that is printed, once, in a thread.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said: set[str] = set()
        self._reading, self._writing = os.pipe()
        # Results for a file or a pipe still get there.
        self._kept = {number: os.dup(number) for number in (_STDOUT, _STDERR) if os.isatty(number)}
        self.terminal = os.fdopen(os.dup(_STDERR), "w", encoding="utf-8", errors="replace")
        """The terminal, whatever is caught."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def catch(self) -> None:
        """Catch what is printed from now on."""
        self._lead(dict.fromkeys(self._kept, self._writing))

    def release(self) -> None:
        """Let it be printed on the terminal again."""
        self._lead(self._kept)

    def close(self) -> None:
        """Release the terminal for good, once everything is said."""
        self.release()
        os.close(self._writing)
        # A worker that is still there may keep the pipe open.
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
        # An image that breaks is read again in every epoch.
        if text and text not in self._said:
            self._said.add(text)
            self._say(text)
