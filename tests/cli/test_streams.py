"""Standard streams that the caller has closed."""

import subprocess
import sys
from pathlib import Path

import pytest

from sparsedet.cli.streams import open_closed_streams
from tests.cli.command import PYTHON


def test_closed_streams_swallow_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    open_closed_streams()
    assert sys.stdin.read() == ""
    assert not sys.stdin.isatty()
    print("to stdout")
    print("to stderr", file=sys.stderr)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.close()


def test_a_command_without_standard_input_fails_in_one_line(tmp_path: Path) -> None:
    ended = subprocess.run(
        ["sh", "-c", 'exec "$0" -m sparsedet init cells <&-', PYTHON],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.stderr == "error: missing project: pass --project\n"
    assert ended.returncode == 1
