"""The command line as a user runs it: in a separate process, which a fault may kill."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import orjson

PATIENCE_SECONDS = 2.0
"""How long a user waits for an answer before pressing Ctrl-C."""

_LIMIT_SECONDS = 180.0


@dataclass(frozen=True)
class Finished:
    """A finished command."""

    status: int
    """Negative: the signal that ended it."""
    output: str
    errors: str

    @property
    def answer(self) -> Mapping[str, Any]:
        """The JSON object on stdout; empty after an error."""
        try:
            answer: Mapping[str, Any] = orjson.loads(self.output)
        except orjson.JSONDecodeError:
            return {}
        return answer

    @property
    def said(self) -> str:
        """The last line on stderr."""
        return (self.errors.strip().splitlines() or [""])[-1]

    @property
    def complaint(self) -> str | None:
        """The problem with its error report; None if it is one line."""
        if "Traceback (most recent call last)" in self.errors:
            return f"traceback: {self.errors.rstrip().splitlines()[-1]}"
        if self.status != 1:
            return None
        lines = self.errors.rstrip().splitlines()
        first = next((at for at, line in enumerate(lines) if line.startswith("error: ")), None)
        if first is None:
            return "status 1 without an error line"
        return None if first == len(lines) - 1 else f"{len(lines) - first} lines: {lines[first]}"


class Command:
    """A running command."""

    def __init__(self, arguments: Sequence[str], folder: Path, url: str, api_key: str) -> None:
        environment = {**os.environ, "LABEL_STUDIO_URL": url, "LABEL_STUDIO_API_KEY": api_key}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sparsedet", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def kill(self) -> None:
        """Kill it, like `kill -9`."""
        self._process.kill()

    def interrupt_after(self, event: Event) -> None:
        """Press Ctrl-C `PATIENCE_SECONDS` after an event, unless it has ended by then."""
        while not event.wait(0.1):
            if self._process.poll() is not None:
                return
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGINT)

    def finish(self) -> Finished:
        """Wait for its end."""
        try:
            output, errors = self._process.communicate(timeout=_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            output, errors = self._process.communicate()
            errors += f"killed by the benchmark after {_LIMIT_SECONDS:.0f} s\n"
        return Finished(self._process.returncode, output, errors)
