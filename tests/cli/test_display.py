"""The live display: its drawing on terminals of any width, and the effect of names on it."""

import io
import os
import re
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from sparsedet.cli.display import Display, live_display, progress_bar
from sparsedet.cli.live_line import LiveLine
from sparsedet.cli.output import command, route_messages, say, wrapped
from sparsedet.cli.time_left import Work
from sparsedet.runtime.visible_text import one_line
from tests.cli.terminal import in_terminal

FIGURES = ("loss 0.484", "19.2 img/s", "12.1 GiB", "lr 0.00098", "cls 0.250", "box 0.125")


def drawn(line: LiveLine, columns: int) -> list[str]:
    console = Console(file=io.StringIO(), width=columns, record=True)
    console.print(line)
    return console.export_text().splitlines()


@pytest.mark.parametrize("columns", [8, 20, 40, 60, 80, 120, 200])
@pytest.mark.parametrize(
    "work",
    [
        Work("training", 123_456, 270_000, 98_765.0, FIGURES),
        Work("mining", 2, 40),
        Work("preparing Label Studio's database (once, about a minute)", 0, 1),
        Work("写真をダウンロード", 20, 40, 3.0),
    ],
    ids=["training", "mining", "preparing", "wide letters"],
)
def test_it_is_one_line_that_fits(columns: int, work: Work) -> None:
    line = LiveLine()
    line.show(work)
    (text,) = drawn(line, columns)
    assert cell_len(text) <= columns - 3


def test_the_wider_the_terminal_the_more_is_shown() -> None:
    line = LiveLine()
    line.show(Work("training", 120, 300, 130.0, FIGURES))
    narrow, usual, wide = (drawn(line, columns)[0] for columns in (34, 80, 120))
    assert narrow.split()[1:] == ["training", "120/300", "left", "0:02:10"]
    assert re.search(r"━{3,}.* 120/300 left 0:02:10 loss 0.484 19.2 img/s 12.1 GiB$", usual)
    assert wide.endswith(" ".join(FIGURES))


def test_a_figure_that_had_no_room_once_does_not_come_and_go() -> None:
    line = LiveLine()
    shows = []
    for loss in ("loss 0.484", "loss 10.4840000000000", "loss 0.484"):
        line.show(Work("training", 120, 300, 130.0, (loss, *FIGURES[1:])))
        shows.append("GiB" in drawn(line, 80)[0])
    assert shows == [True, False, False]


NASTY = "[red]cat[/red] :cat: \x1b[2J\x9b31m\r\x07\u202eold\nround 9: done"


def test_a_name_is_nothing_but_text() -> None:
    file = io.StringIO()
    display = Display(Console(file=file, force_terminal=True, width=200))
    display.say(f"label {NASTY}")
    said = file.getvalue()
    assert said == ("label [red]cat[/red] :cat: \\x1b[2J\\x9b31m \\x07\\u202eold round 9: done\n")
    line = LiveLine()
    line.show(Work(NASTY, 1, 3))
    (text,) = drawn(line, 200)
    assert one_line(NASTY) in text


def test_without_a_terminal_names_are_nothing_but_text(capsys: pytest.CaptureFixture[str]) -> None:
    with live_display():
        say(NASTY)
    say(NASTY)
    assert capsys.readouterr().err == f"{one_line(NASTY)}\n" * 2


def test_messages_are_wrapped_at_words_but_not_in_links_and_commands() -> None:
    link = "https://labels.example.com/projects/7/data?tab=3"
    again = command("round", Path("some/folder"), "--next")
    text = f"boxes are up for review at {link}, then: {again}"
    assert wrapped(text, 30).splitlines() == [
        "boxes are up for review at",
        f"{link},",
        "then:",
        "sparsedet round some/folder --next",
    ]
    assert wrapped(text, None) == (
        f"boxes are up for review at {link}, then: sparsedet round some/folder --next"
    )
    assert wrapped("  写真 写真 写真", 8).splitlines() == ["  写真", "写真", "写真"]


def test_a_bar_within_another_block_is_on_the_same_display() -> None:
    with live_display() as outer, live_display() as inner, progress_bar() as progress:
        assert inner is outer
        assert progress == outer.progress
    with live_display() as next_one:
        assert next_one is not outer


def test_without_a_terminal_what_takes_long_is_said_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 100_000, 1))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    display = Display(None)
    for done in range(61):
        display.progress("mining", done, 60)
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 6
    assert all(re.fullmatch(r"mining \d+/60  left 0:0\d:\d\d", line) for line in lines)


def test_a_worker_speaks_past_the_display(capfd: pytest.CaptureFixture[str]) -> None:
    """What it forked from draws in a thread that the worker does not have."""
    file = io.StringIO()
    display = Display(Console(file=file, force_terminal=True, width=80))
    route_messages(display.say)
    try:
        worker = os.fork()
        if worker == 0:
            say("from the worker")
            sys.stderr.flush()
            os._exit(0)
        os.waitpid(worker, 0)
        say("from its parent")
    finally:
        route_messages(None)
    assert capfd.readouterr().err == "from the worker\n"
    assert file.getvalue() == "from its parent\n"


STRAY = """
import logging, os, sys, time
from sparsedet.cli.display import live_display
from sparsedet.cli.output import say

logging.basicConfig(stream=sys.stderr)
with live_display() as display:
    display.progress("mining", 1, 3)
    os.write(2, b"from C\\n")
    os.write(1, b"from C on stdout\\n")
    print("from Python")
    logging.warning("logged")
    if not (worker := os.fork()):
        os.write(2, b"from a worker\\n")
        os._exit(0)
    os.waitpid(worker, 0)
    time.sleep(0.3)
    say("said")
    display.progress("mining", 2, 3)
    time.sleep(0.3)
    display.progress("mining", 3, 3)
    os.write(2, b"at the end\\n")
"""


@pytest.mark.parametrize("pipe_stdout", [False, True])
def test_what_others_print_stands_above_the_line(tmp_path: Path, pipe_stdout: bool) -> None:
    session = in_terminal(
        *("-c", STRAY), columns=80, cwd=tmp_path, program=(), pipe_stdout=pipe_stdout
    )
    assert session.status == 0
    on_stdout = ["from C on stdout", "from Python"]
    lines = ["from C", "WARNING:root:logged", "from a worker", "said", "at the end"]
    if pipe_stdout:
        assert session.out.decode().splitlines() == on_stdout
    else:
        lines += on_stdout
    assert sorted(session.rows) == sorted(lines)
    assert session.rows[-2:] == ("said", "at the end")
    for rows in session.seen:
        assert not [row for row in rows[:-1] if "mining" in row], rows
