"""Every hostile input ends in one clear line: no traceback, no key, no control characters."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import sparsedet_here

from . import (
    broken_files,
    image_answers,
    labelling_configs,
    prelabels,
    server_answers,
    server_writes,
    terminal,
)
from .case import Case
from .odd_server import OddServer, odd_server

CASES: list[Case] = [
    *server_answers.CASES,
    *server_writes.CASES,
    *prelabels.CASES,
    *image_answers.CASES,
    *labelling_configs.CASES,
    *broken_files.CASES,
    *terminal.CASES,
]

KEY = "0123456789abcdef0123456789abcdef01234567"
LONGEST_LINE = 1000
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@pytest.fixture
def server() -> Iterator[OddServer]:
    with odd_server() as server:
        yield server


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_input(case: Case, tmp_path: Path, server: OddServer) -> None:
    arguments = case.prepare(tmp_path, server)
    env = {"LABEL_STUDIO_URL": server.url, "LABEL_STUDIO_API_KEY": KEY, "COLUMNS": "200"}
    result = sparsedet_here(*arguments, cwd=tmp_path, env=env)
    said = result.out + result.err
    assert result.status == case.status, said[-3000:]
    assert re.search(case.says, " ".join(said.split())), said[-3000:]
    assert KEY not in said
    assert "Traceback" not in said
    assert not CONTROL.search(said), repr(said)
    lines = [line for line in said.splitlines() if not line.startswith("{")]
    assert max(map(len, lines), default=0) <= LONGEST_LINE
    if case.status == 1:
        assert sum(line.startswith("error: ") for line in said.splitlines()) == 1
    assert not list(tmp_path.rglob("*.tmp"))


def test_names_are_unique() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)


LEAST = 280
"""Kinds of input that the suite has at least; raise it with the suite."""


def test_the_suite_is_as_large_as_it_was() -> None:
    assert len(CASES) >= LEAST
