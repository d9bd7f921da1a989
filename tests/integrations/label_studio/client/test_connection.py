"""Address, keys, and one-line errors that never contain the key."""

import re
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio import LabelStudioTool
from sparsedet.integrations.label_studio.client.connection import (
    KEY_VARIABLE,
    URL_VARIABLE,
    Connection,
    check_connection,
    project_number,
)
from sparsedet.integrations.label_studio.client.failures import detail
from sparsedet.integrations.label_studio.demo.local_server import LocalServer
from tests.hostile.odd_server import Answer, json_answer, odd_server, page

SECRET = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (None, "missing Label Studio address: set LABEL_STUDIO_URL or pass --url"),
        ("localhost:8080", "must look like"),
        ("ftp://host", "must look like"),
        ("http://", "must look like"),
        ("http://host:port", "must look like"),
        ("http://host/projects/7/data", "without /projects and what follows"),
        (f"http://me:{SECRET}@host", "must not contain a user name or password"),
    ],
)
def test_addresses_that_are_none(url: str | None, message: str) -> None:
    with pytest.raises(ToolError, match=message) as caught:
        Connection(url, SECRET)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("key", [" ", "two words", "line\nbreak", "schlüssel"])
def test_keys_that_are_none(key: str) -> None:
    with pytest.raises(
        ToolError, match="API key is empty or contains invalid characters"
    ) as caught:
        Connection("http://127.0.0.1:9", key)
    assert key.strip() == "" or key not in str(caught.value)


def test_without_a_terminal_nobody_is_asked_for_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    with pytest.raises(ToolError, match=f"missing API key .* set {KEY_VARIABLE}"):
        Connection("http://127.0.0.1:9")


def test_nobody_listens() -> None:
    with pytest.raises(ToolError, match=r"not reachable at http://127\.0\.0\.1:9 .*running"):
        Connection("http://127.0.0.1:9", SECRET)


class _Echo(BaseHTTPRequestHandler):
    """A server that repeats the key in its error, which must not reach anybody."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.split("/")[1]))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        answer = f"you sent {self.headers['Authorization']}"
        # With 200 a page, as one to log in by.
        page = self.path.startswith("/200/")
        self.wfile.write((answer if page else f'{{"detail": "{answer}"}}').encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Echo) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "refused the API key"),
        (403, "does not allow this account connecting"),
        (200, "is the address right"),
        (404, "is the address right"),
        (418, "answered with status 418"),
        (503, "answered with status 503 .*; try again later"),
    ],
)
def test_every_status_is_one_line_without_the_key(echo: str, status: int, message: str) -> None:
    with pytest.raises(ToolError, match=message) as caught:
        Connection(f"{echo}/{status}", SECRET)
    assert "you sent Token ***" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (413, "client_max_body_size"),
        (429, "finished work is kept, repeat the command"),
        (502, "finished work is kept, repeat the command"),
    ],
)
def test_a_refused_write_says_what_to_do(status: int, advice: str) -> None:
    with odd_server() as server:
        server.answers["POST /api/things"] = page(status=status)
        connection = Connection(server.url, SECRET)
        with pytest.raises(ToolError, match=rf"status {status} \(making a thing\); .*{advice}"):
            connection.post_json("api/things/", {}, "making a thing")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"detail": "Not now."}, "Not now"),
        (
            {"detail": "Validation error", "validation_errors": {"label_config": ["No tag.", "x"]}},
            "Validation error; label_config: No tag; x",
        ),
        ({"title": ["Too long."]}, "title: Too long"),
        (["invalid"], "invalid"),
        (None, ""),
    ],
)
def test_what_the_server_said_is_quoted_as_text(body: object, said: str) -> None:
    assert detail(body) == said


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_later_says_what_to_do(status: int) -> None:
    with odd_server() as server:
        server.answers["POST /api/things"] = json_answer({"detail": "Invalid token."}, status)
        connection = Connection(server.url, SECRET)
        with pytest.raises(ToolError, match=r"making a thing.*; finished work is kept, repeat"):
            connection.post_json("api/things/", {}, "making a thing")


@pytest.mark.parametrize("status", [401, 403])
def test_a_login_of_a_proxy_is_not_blamed_on_the_key(status: int) -> None:
    with odd_server() as server:
        server.answers["/api/current-user/whoami"] = page(status=status)
        with pytest.raises(ToolError, match=rf"^a proxy .* \(status {status}, connecting\)"):
            Connection(server.url, SECRET)


def test_a_proxy_that_removes_the_key() -> None:
    with odd_server() as server:
        said = {"detail": "Authentication credentials were not provided."}
        server.answers["/api/current-user/whoami"] = json_answer(said, 401)
        with pytest.raises(ToolError, match=r"did not receive the API key .* a proxy"):
            Connection(server.url, SECRET)


class _Counted(BaseHTTPRequestHandler):
    """A server that keeps connections open, and counts them."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    connections = 0

    def setup(self) -> None:
        super().setup()
        type(self).connections += 1

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_each_request_to_this_machine_has_a_connection_of_its_own() -> None:
    """On one that is kept, every answer of Label Studio's own web server is 40 ms late."""
    with HTTPServer(("127.0.0.1", 0), _Counted) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        connection = Connection(f"http://127.0.0.1:{server.server_port}", SECRET)
        for _ in range(2):
            assert connection.get_json("api/version", {}, "its version") == {}
        server.shutdown()
    assert _Counted.connections == 3


@pytest.mark.parametrize("project", ["", "cells", "-1", "1.5", "٣", "1/export"])
def test_projects_are_numbers(project: str) -> None:
    with pytest.raises(ToolError, match="invalid Label Studio project"):
        project_number(project)


@pytest.mark.label_studio
def test_the_server_refuses_a_wrong_key(label_studio: LocalServer) -> None:
    with pytest.raises(
        ToolError, match=f"refused the API key: Invalid token; check {KEY_VARIABLE}"
    ):
        Connection(label_studio.url, SECRET)


@pytest.mark.label_studio
def test_a_check_names_version_address_and_account(
    label_studio: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL_VARIABLE, label_studio.url)
    monkeypatch.setenv(KEY_VARIABLE, label_studio.api_key)
    said = check_connection()
    assert said
    expected = rf"Label Studio \d+\.\d+\S* at {label_studio.url}, as {label_studio.email}"
    assert re.fullmatch(expected, said)
    monkeypatch.setenv(KEY_VARIABLE, SECRET)
    with pytest.raises(ToolError, match="refused the API key") as caught:
        check_connection()
    assert SECRET not in str(caught.value)


@pytest.mark.label_studio
def test_address_and_key_come_from_the_environment(
    label_studio: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL_VARIABLE, label_studio.url + "/")
    monkeypatch.setenv(KEY_VARIABLE, f" {label_studio.api_key}\n")
    tool = LabelStudioTool()
    assert tool.url == label_studio.url
    assert not re.search(label_studio.api_key, repr(vars(tool)))


def test_the_body_of_a_redirect_is_not_read() -> None:
    def endless() -> Iterator[bytes]:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            yield b"x" * 100_000

    with odd_server() as server:
        to = {"Location": "/api/others"}
        server.answers["/api/things"] = Answer(b"", 302, headers=to, stream=endless)
        server.answers["/api/others"] = json_answer({"id": 1})
        connection = Connection(server.url, SECRET)
        begun = time.monotonic()
        assert connection.get_json("api/things", {}, "reading things") == {"id": 1}
        assert time.monotonic() - begun < 5


def test_a_proxy_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with odd_server() as server:
        # This server answers CONNECT with 501, as a proxy that refuses.
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        with pytest.raises(ToolError, match=r"^the proxy of HTTPS_PROXY refuses to connect to "):
            Connection("https://label-studio.invalid", SECRET)
        server.answers["/api/"] = page(status=407)
        monkeypatch.setenv("HTTP_PROXY", server.url)
        with pytest.raises(ToolError, match=r"^HTTP_PROXY asks for a login \(connecting\)"):
            Connection("http://label-studio.invalid", SECRET)
    with pytest.raises(ToolError, match=r"not reachable .* through the proxy of HTTP_PROXY\)"):
        Connection("http://label-studio.invalid", SECRET)
