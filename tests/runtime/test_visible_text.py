"""Control sequences are escaped, however they are printed."""

import io
import logging
import os
import subprocess
import sys

import pytest

from sparsedet.runtime.visible_text import (
    OneLineFormatter,
    VisibleStream,
    escaped,
    one_line,
    show_escaped,
)

STEERING = {
    "\x1b[2J": r"\x1b[2J",
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "\x9b2J": r"\x9b2J",
    "\x7f\b": r"\x7f\x08",
    "a\rb": r"a\rb",
    "a\u202eb\u2066": r"a\u202eb\u2066",
    "\U000e0041": r"\U000e0041",
    "\udcff.png": r"\xff.png",
    "\ud83d": r"\ud83d",
}
PLAIN = "Zürich 写真 \N{FAMILY} a\u200db\ttab\nline [red]x[/red] \\x1b"


@pytest.mark.parametrize("text", STEERING, ids=ascii)
def test_what_steers_a_terminal_is_escaped(text: str) -> None:
    assert escaped(text) == STEERING[text]


def test_text_stays_as_it_is() -> None:
    assert escaped(PLAIN) == PLAIN


def test_a_line_has_no_breaks() -> None:
    assert one_line("a\n\n b\u2028c\r\nd\x1b") == r"a  b c d\x1b"


@pytest.mark.parametrize(
    ("encoding", "expected"), [("ascii", r"caf\xe9 \u5199"), ("latin-1", r"café \u5199")]
)
def test_a_stream_prints_what_its_encoding_lacks_escaped(encoding: str, expected: str) -> None:
    raw = io.BytesIO()
    stream = VisibleStream(io.TextIOWrapper(raw, encoding=encoding, errors="strict"))
    stream.writelines(["café 写"])
    stream.flush()
    assert raw.getvalue().decode(encoding) == expected


def test_logs_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    show_escaped()
    show_escaped()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLineFormatter())
    record = logging.LogRecord("x", logging.ERROR, "some.py", 1, "c\x9b%s", ("d\nERROR: e",), None)
    handler.handle(record)
    assert said.getvalue().endswith("c\\x9bd ERROR: e\n")


CODE = """
from sparsedet.runtime.visible_text import show_escaped
import typer, warnings
show_escaped()
warnings.warn("careful\\x9b2J")
typer.echo("a\\x1b[2Jb\\udcff\\u5199")
raise RuntimeError("bug\\x1b[2J")
"""


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_warnings_and_tracebacks_are_escaped_in_every_encoding(encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        env={**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": encoding},
        check=False,
    )
    assert b"\x1b" not in done.stdout + done.stderr
    assert rb"careful\x9b2J" in done.stderr
    assert rb"RuntimeError: bug\x1b[2J" in done.stderr
    assert b"\xff" in done.stdout or rb"b\xff" in done.stdout


def test_warnings_of_libraries_are_hidden_in_child_processes_too() -> None:
    child = "import warnings; warnings.warn('old', FutureWarning)"
    code = (
        "import subprocess, sys; from sparsedet.runtime.visible_text import hide_library_warnings; "
        f"hide_library_warnings(); subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    )
    env = {key: value for key, value in os.environ.items() if key != "PYTHONWARNINGS"}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    assert ran.stderr == b""
