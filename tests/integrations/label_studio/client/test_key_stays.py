"""The key belongs to one host: redirects, workspaces and ledgers can't leak it to another."""

import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import jwt
import pytest

from sparsedet.annotations import read_coco
from sparsedet.annotations.mined_boxes import MinedBox
from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio.client.connection import (
    KEY_VARIABLE,
    URL_VARIABLE,
    Connection,
)
from sparsedet.integrations.label_studio.client.key_consent import check_consent
from sparsedet.ledger import Ledger, Push
from tests.cli.command import Result, sparsedet_here
from tests.hostile.odd_server import Answer, OddServer, odd_server

KEY = "0123456789abcdef0123456789abcdef01234567"
REFRESH_TOKEN = jwt.encode(
    {"exp": int(time.time()) + 3600, "token_type": "refresh"}, "a secret of the server's own, long"
)


@pytest.fixture
def ours() -> Iterator[OddServer]:
    with odd_server() as server:
        yield server


@pytest.fixture
def theirs() -> Iterator[OddServer]:
    with odd_server() as server:
        yield server


def moved(to: OddServer, status: int) -> Answer:
    return Answer(b"", status, headers={"Location": f"{to.url}/api/token/refresh/"})


def pull(folder: Path, url: str | None, *options: str, workspace: str = "workspace") -> Result:
    """Pull with a key in the environment that is meant for the server at `url`."""
    env = {URL_VARIABLE: url or "", KEY_VARIABLE: KEY}
    return sparsedet_here("pull", "-o", workspace, *options, cwd=folder, env=env)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_token_is_not_exchanged_at_another_host(
    ours: OddServer, theirs: OddServer, status: int
) -> None:
    ours.answers["POST /api/token/refresh/"] = moved(theirs, status)
    with pytest.raises(ToolError, match="where the API key must not be sent") as caught:
        Connection(ours.url, REFRESH_TOKEN)
    assert REFRESH_TOKEN not in str(caught.value)
    assert theirs.seen == []


def test_a_token_is_not_exchanged_for_a_page(ours: OddServer) -> None:
    for answer in (Answer(b"<html>"), Answer(b"{}"), Answer(b'{"access": 5}'), Answer(b"no", 502)):
        ours.answers["POST /api/token/refresh/"] = answer
        with pytest.raises(ToolError, match="Label Studio at") as caught:
            Connection(ours.url, REFRESH_TOKEN)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", [302, 307])
def test_nothing_is_sent_along_a_redirect(ours: OddServer, theirs: OddServer, status: int) -> None:
    connection = Connection(ours.url, KEY)
    ours.answers["POST /api/tasks/"] = moved(theirs, status)
    with pytest.raises(ToolError, match=r"must not be sent.*\(writing\)"):
        connection.post_json("api/tasks/", {}, "writing")
    assert theirs.seen == []


def test_a_redirect_on_the_same_host_is_followed(ours: OddServer) -> None:
    connection = Connection(ours.url, KEY)
    ours.answers["/api/old"] = Answer(b"", 302, headers={"Location": "/api/new"})
    ours.answers["/api/new"] = Answer(b"{}")
    assert connection.get_json("api/old", {}, "reading") == {}
    _, headers = ours.seen[-1]
    assert headers["Authorization"] == f"Token {KEY}"


def test_the_key_does_not_come_back_in_an_answer(ours: OddServer) -> None:
    connection = Connection(ours.url, KEY)
    ours.answers["/api/echo"] = Answer(f'{{"a": "{KEY}"}}'.encode())
    assert connection.get_json("api/echo", {}, "reading") == {"a": "***"}


def test_a_workspace_that_names_another_host_does_not_get_the_key(
    ours: OddServer, theirs: OddServer, tmp_path: Path
) -> None:
    assert pull(tmp_path, theirs.url, "--project", "1").status == 0
    theirs.seen.clear()
    refused = pull(tmp_path, ours.url)
    assert "the key was not sent" in refused.error()
    assert f"{KEY_VARIABLE} is for {ours.url}" in refused.error()
    # Whose key it is nobody has said.
    assert f"{URL_VARIABLE} is not set to allow" in pull(tmp_path, None).error()
    assert theirs.seen == []
    assert ours.seen == []
    assert pull(tmp_path, ours.url, "--url", theirs.url).status == 0
    assert pull(tmp_path, theirs.url).status == 0


def test_a_ledger_that_names_another_host_does_not_get_the_key(
    ours: OddServer, theirs: OddServer, tmp_path: Path
) -> None:
    assert pull(tmp_path, ours.url, "--project", "1").status == 0
    workspace = tmp_path / "workspace"
    with closing(Ledger(workspace / "ledger.sqlite")) as ledger:
        push = Push(
            tool="label-studio",
            url=theirs.url,
            project="1",
            review_project="7",
            model_version="run-1",
        )
        box = MinedBox("m1", 1, 2, (4.0, 4.0, 20.0, 20.0), 0.9, 0.5)
        ledger.record_push(push, [box], read_coco(workspace / "annotations.json"))
    env = {URL_VARIABLE: ours.url, KEY_VARIABLE: KEY}
    refused = sparsedet_here("review", "workspace", cwd=tmp_path, env=env)
    assert "the key was not sent" in refused.error()
    assert theirs.seen == []


class _Terminal:
    """A terminal on which somebody types one line."""

    def __init__(self, typed: str) -> None:
        self.typed = typed
        self.shown = ""

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self.typed

    def write(self, text: str) -> None:
        self.shown += text

    def flush(self) -> None:
        pass


@pytest.mark.parametrize("typed", ["y\n", "n\n", "\n", ""])
def test_on_a_terminal_the_user_is_asked(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    terminal = _Terminal(typed)
    monkeypatch.setattr(sys, "stdin", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv(URL_VARIABLE, "http://localhost:8080/")
    if typed.startswith("y"):
        check_consent("http://127.0.0.1:8080")
    else:
        with pytest.raises(ToolError, match=r"localhost and 127\.0\.0\.1 count as two hosts"):
            check_consent("http://127.0.0.1:8080")
    assert "Send the key there? [y/N]" in terminal.shown


@pytest.mark.parametrize(
    ("known", "url"),
    [
        ("https://host", "https://host:443/label-studio"),
        ("https://HOST/", "https://host"),
        ("http://host:8080", "http://host:8080"),
    ],
)
def test_one_host_in_other_words(monkeypatch: pytest.MonkeyPatch, known: str, url: str) -> None:
    monkeypatch.setenv(URL_VARIABLE, known)
    check_consent(url)


@pytest.mark.parametrize(
    ("known", "url"),
    [
        ("https://host", "http://host"),
        ("https://host", "https://host.example.com"),
        ("http://host:8080", "http://host:8081"),
        ("http://[::1", "http://host"),
    ],
)
def test_another_host(monkeypatch: pytest.MonkeyPatch, known: str, url: str) -> None:
    monkeypatch.setenv(URL_VARIABLE, known)
    with pytest.raises(ToolError, match="the key was not sent"):
        check_consent(url)


def test_a_cut_connection_names_its_step(ours: OddServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the SDK's attempts
    connection = Connection(ours.url, KEY)
    ours.answers["/api/version"] = Answer(b'{"a"', headers={"Content-Length": "100"})
    with pytest.raises(
        ToolError, match=r"was closed \(its version: .*repeat the command"
    ) as caught:
        connection.get_json("api/version", {}, "its version")
    assert "is the address right" not in str(caught.value)


def test_a_server_that_went_away_names_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with odd_server() as server:
        connection = Connection(server.url, KEY)
    with pytest.raises(ToolError, match=r"can't be reached any more \(its version: ") as caught:
        connection.get_json("api/version", {}, "its version")
    assert "repeat the command to complete it" in str(caught.value)
