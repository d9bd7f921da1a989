"""Runs the command line, in a separate process like users; or in this one, which is faster."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sparsedet.cli.app import main

PYTHON = os.environ.get("SPARSEDET_PYTHON", sys.executable)
"""Whose `sparsedet` is run: `make check-wheel` names that of another environment."""


@dataclass(frozen=True)
class Result:
    """What a command left."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """Return the one JSON object that stands on stdout, alone."""
        return json.loads(self.out)

    def error(self) -> str:
        """Return the one line of a refused command, without its prefix."""
        assert self.status == 1, self
        assert self.out == ""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        return lines[0].removeprefix("error: ")


def sparsedet_here(
    *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Result:
    """Run `sparsedet` in this process, which need not import torch again; else as `sparsedet`.

    One test of each command has a process of its own, which shows what only that can: what the
    command imports and what reaches the terminal.
    """
    out, err = io.StringIO(), io.StringIO()
    status = 0
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    root = logging.getLogger()
    level = root.level
    with (
        # pytest's own would keep the command from making one.
        patch.object(root, "handlers", []),
        patch.dict(os.environ, env or {}),
        chdir(cwd or Path.cwd()),
        patch.object(sys, "argv", ["sparsedet", *map(str, arguments)]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            root.setLevel(level)
    return Result(status, out.getvalue(), err.getvalue())


def sparsedet(
    *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Result:
    """Run `sparsedet` with `arguments`; `env` is added to the environment."""
    result = subprocess.run(
        [PYTHON, "-m", "sparsedet", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return Result(result.returncode, result.stdout, result.stderr)
