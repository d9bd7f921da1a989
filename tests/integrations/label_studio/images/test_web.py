"""Image requests: who gets the key, time limits, and proxies."""

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

import pytest

from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.images.hosts import HostRules
from sparsedet.integrations.label_studio.project_pull import pull_project
from sparsedet.integrations.label_studio.serve.server import _wait_until_up
from tests.hostile.odd_server import Answer, OddServer, json_answer, picture

from .conftest import KEY, Pull, asked, with_image

PNG = Answer(picture(), kind="image/png")


def keys(server: OddServer, path: str) -> list[str | None]:
    """Return the keys that a server was sent along with requests for a path."""
    return [headers.get("Authorization") for request, headers in server.seen if path in request]


def redirect(target: str) -> Answer:
    return Answer(b"", 302, "text/plain", {"Location": target})


def host_of(server: OddServer) -> str:
    return server.url.removeprefix("http://")


def test_the_key_is_not_sent_along_a_redirect_to_another_origin(
    server: OddServer, elsewhere: OddServer, pull: Pull
) -> None:
    with_image(server, "/away.png")
    server.answers["/away.png"] = redirect(f"{elsewhere.url}/there.png")
    # It leads back, to a path that the key could open.
    elsewhere.answers["/there.png"] = redirect(f"{server.url}/images/back.png")
    dataset = pull(allow_hosts=(host_of(elsewhere),))
    assert len(dataset.images) == 2
    assert keys(server, "/away.png") == [f"Token {KEY}"]
    assert keys(elsewhere, "/there.png") == [None]
    assert keys(server, "/images/back.png") == [None]


def test_localhost_is_the_server_that_is_called_127_0_0_1(server: OddServer, pull: Pull) -> None:
    with_image(server, server.url.replace("127.0.0.1", "localhost") + "/images/a.png?x=1")
    assert len(pull().images) == 2
    assert keys(server, "/images/a.png") == [f"Token {KEY}"]
    assert server.seen[-1][1]["Host"].startswith("127.0.0.1")


def test_a_login_in_a_link_is_sent_to_its_host(
    server: OddServer, elsewhere: OddServer, pull: Pull
) -> None:
    with_image(server, f"http://me:hunter2@{host_of(elsewhere)}/images/a.png")
    assert len(pull(allow_hosts=("127.0.0.1",)).images) == 2
    (sent,) = keys(elsewhere, "/images/a.png")
    assert sent is not None
    assert sent.startswith("Basic ")


def test_a_login_in_a_link_to_label_studio_gives_way_to_the_key(
    server: OddServer, pull: Pull
) -> None:
    with_image(server, f"http://me:hunter2@{host_of(server)}/images/a.png")
    assert len(pull().images) == 2
    assert keys(server, "/images/a.png") == [f"Token {KEY}"]


def test_a_busy_server_is_asked_again(server: OddServer, pull: Pull) -> None:
    with_image(server, "/busy.png")
    answers = [Answer(b"", 503), Answer(b"", 429), PNG]
    answer = server.answer

    def busy(method: str, path: str) -> Answer:
        return answers.pop(0) if path == "/busy.png" else answer(method, path)

    server.answer = busy  # type: ignore[method-assign]
    assert len(pull().images) == 2
    assert asked(server).count("/busy.png") == 3


@contextmanager
def dripping_server(head: bytes) -> Iterator[str]:
    """Run a server that sends the head of its answer byte by byte, for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            try:
                for byte in head + b"X-A: " + b"b" * 10_000:
                    connection.sendall(bytes([byte]))
                    if over.wait(0.02):
                        return
            except OSError:
                return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        thread.join()
        listener.close()


def test_a_head_that_never_ends_meets_the_limit(
    server: OddServer, pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    with dripping_server(b"HTTP/1.1 200 OK\r\n") as host:
        with_image(server, f"http://{host}/x.png")
        start = time.monotonic()
        dataset = pull(allow_hosts=(host,), max_seconds=0.5)
    assert time.monotonic() - start < 3
    assert len(dataset.images) == 1
    assert dataset.unread == {"1"}
    assert "it takes more than 0.5 s ([images] max_seconds" in caplog.text


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_proxy_makes_the_connections(
    server: OddServer,
    elsewhere: OddServer,
    pull: Pull,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
) -> None:
    monkeypatch.setenv("http_proxy", f"{scheme}{host_of(elsewhere)}")
    monkeypatch.setenv("no_proxy", host_of(server).partition(":")[0])
    with_image(server, "http://images.example/images/a.png")
    assert len(pull().images) == 2
    assert asked(elsewhere) == ["/images/a.png"]
    elsewhere.seen.clear()
    with_image(server, "http://192.168.0.1/images/b.png")
    assert pull().unread == {"1"}
    assert asked(elsewhere) == []


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_wants(
    server: OddServer, pull: Pull, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    usual, refused = server.answer, [Answer(b"", status, headers={"Retry-After": "1"})]

    def answer(method: str, path: str) -> Answer:
        return refused.pop() if path == "/images/1.png" and refused else usual(method, path)

    monkeypatch.setattr(server, "answer", answer)
    begun = time.monotonic()
    assert len(pull().images) == 2
    assert time.monotonic() - begun >= 1


@pytest.mark.parametrize("refresh", [False, True])
def test_what_a_server_fails_to_send_is_asked_for_again(
    server: OddServer,
    pull: Pull,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    refresh: bool,
) -> None:
    """After the others: a server that restarts needs more than a moment."""
    if refresh:
        pull()
    usual, asked_for = server.answer, []
    lasting = 1

    def answer(method: str, path: str) -> Answer:
        asked_for.append(path)
        fails = path == "/images/1.png" and asked_for.count(path) <= lasting
        return Answer(b"", 500) if fails else usual(method, path)

    monkeypatch.setattr(server, "answer", answer)
    assert len(pull(refresh=refresh).images) == 2
    assert "this time" not in caplog.text
    assert asked_for[-1] == "/images/1.png"

    lasting = 99
    asked_for.clear()
    again = pull(refresh=True)
    assert len(again.images) == 2, "the file stays"
    assert "whose image could not be downloaded this time (task 1)" in caplog.text
    assert asked_for.count("/images/1.png") == 2


def test_what_no_second_request_brings_is_left_to_the_next_pull(
    server: OddServer, pull: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers["/images/1.png"] = Answer(b"", 500)
    assert pull().unread == {"1"}
    assert "1 whose image could not be downloaded this time (task 1)" in caplog.text
    server.answers["/images/1.png"] = PNG
    assert len(pull().images) == 2


@pytest.mark.parametrize("date", [False, True])
def test_a_long_pause_costs_the_image_at_once(
    server: OddServer, pull: Pull, date: bool, caplog: pytest.LogCaptureFixture
) -> None:
    asked = formatdate(time.time() + 7100, usegmt=True) if date else "7100"
    server.answers["/images/1.png"] = Answer(b"", 503, headers={"Retry-After": asked})
    assert pull().unread == {"1"}
    assert "answered with status 503 and asks to wait 1 h 58 min" in caplog.text
    assert [path for path, _ in server.seen].count("GET /images/1.png") == 1


def test_a_pause_does_not_outlast_a_download(server: OddServer, pull: Pull) -> None:
    server.answers["/images/1.png"] = Answer(b"", 429, headers={"Retry-After": "50"})
    begun = time.monotonic()
    assert pull(max_seconds=0.3).unread == {"1"}
    assert time.monotonic() - begun < 5


def test_a_server_on_this_machine_is_not_asked_through_a_proxy(
    server: OddServer, elsewhere: OddServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("http_proxy", elsewhere.url)
    monkeypatch.delenv("no_proxy", raising=False)
    connection = Connection(server.url, KEY)
    assert len(pull_project(connection, "1", tmp_path / "images").images) == 2
    server.answers["/health"] = json_answer({"status": "UP"})
    _wait_until_up(server.url, "the secret", threading.Event())
    assert elsewhere.seen == []


def test_another_host_that_is_gone_costs_its_image(server: OddServer, pull: Pull) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        gone = f"127.0.0.1:{closed.getsockname()[1]}"
    with_image(server, f"http://{gone}/x.png")
    assert pull(allow_hosts=(gone,)).unread == {"1"}


def test_label_studio_gone_in_the_middle_is_an_error(
    server: OddServer, pull: Pull, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody listens there, under the port of the server.
    nobody = [ipaddress.ip_address("127.0.0.2")]
    monkeypatch.setattr(HostRules, "addresses", lambda *_: nobody)
    with pytest.raises(ToolError, match=r"can't be reached any more"):
        pull()


def test_a_key_that_is_revoked_in_the_middle_is_an_error(
    server: OddServer, pull: Pull, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, refused = server.answer, json_answer({"detail": "Invalid token."}, 401)

    def answer(method: str, path: str) -> Answer:
        revoked = any(request == "GET /images/2.png" for request, _ in server.seen)
        return refused if revoked else usual(method, path)

    monkeypatch.setattr(server, "answer", answer)
    with pytest.raises(ToolError, match=r"refused the API key: Invalid token .*finished work"):
        pull()


def test_an_image_that_is_refused_costs_only_that_image(server: OddServer, pull: Pull) -> None:
    server.answers["/images/2.png"] = json_answer({"detail": "the storage refuses it"}, 401)
    assert pull().unread == {"2"}
