"""Pauses that a busy server asks for: announced, waited for, or refused."""

import re
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio.client.connection import Connection
from tests.hostile.odd_server import Answer, json_answer, odd_server

SECRET = "0123456789abcdef0123456789abcdef01234567"


def test_a_busy_server_that_asks_for_an_odd_pause_is_busy() -> None:
    with odd_server() as server:
        busy = Answer(b"{}", 429, headers={"Retry-After": "bientôt"})
        server.answers["/api/things"] = busy
        connection = Connection(server.url, SECRET)
        with pytest.raises(ToolError, match=r"answered with status 429 .*; finished work is kept"):
            connection.get_json("api/things", {}, "reading things")


@pytest.mark.parametrize("form", ["seconds", "date", "limit"])
def test_a_pause_that_is_too_long_is_an_error_at_once(form: str) -> None:
    later = time.time() + 7100
    asked = {
        "seconds": {"Retry-After": "7100"},
        "date": {"Retry-After": formatdate(later, usegmt=True)},
        "limit": {"X-RateLimit-Reset": f"{later:.0f}"},
    }
    with odd_server() as server:
        server.answers["/api/things"] = Answer(b"{}", 429, headers=asked[form])
        connection = Connection(server.url, SECRET)
        begun = time.monotonic()
        with pytest.raises(
            ToolError, match=r"busy and asks to wait 1 h 58 min \(status 429\) \(reading"
        ):
            connection.get_json("api/things", {}, "reading things")
        assert time.monotonic() - begun < 5
        assert [path for path, _ in server.seen].count("GET /api/things") == 1


def test_a_pause_is_announced(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with odd_server() as server:
        server.answers["POST /api/things"] = Answer(b"{}", 503, headers={"Retry-After": "50"})
        connection = Connection(server.url, SECRET)
        with pytest.raises(ToolError, match=r"status 503 .*; finished work is kept"):
            connection.post_json("api/things/", {}, "making a thing")
        limited = {"X-RateLimit-Reset": f"{time.time() + 50:.0f}"}
        server.answers["POST /api/things"] = Answer(b"{}", 429, headers=limited)
        with pytest.raises(ToolError, match=r"status 429 .*; finished work is kept"):
            connection.post_json("api/things/", {}, "making a thing")
    assert "Label Studio is busy and asks to wait 50 s (status 503)" in caplog.text
    assert re.search(r"busy and asks to wait (49|50) s \(status 429\)", caplog.text)


def test_writes_are_repeated_after_the_pause_of_a_server_with_too_many_requests(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Status 429 means that nothing was done; after other failures that is not known."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    with odd_server() as server:
        usual, refused, bodies = server.answer, [0], []

        def answer(method: str, path: str) -> Answer:
            bodies.append(server.seen[-1][1].get("Content-Length"))
            if method != "GET" and refused[0]:
                refused[0] -= 1
                return Answer(b"{}", 429, headers={"Retry-After": "2"})
            return usual(method, path)

        monkeypatch.setattr(server, "answer", answer)
        server.answers["POST /api/things"] = json_answer({"id": 1})
        server.answers["DELETE /api/things/1"] = Answer(b"", 204)
        connection = Connection(server.url, SECRET)
        refused[0] = 2
        assert connection.post_json("api/things/", {"is": "new"}, "making a thing") == {"id": 1}
        assert slept == [2, 2]
        refused[0] = 1
        connection.delete("api/things/1/", "deleting a thing")
        file = tmp_path / "image.png"
        file.write_bytes(b"pixels")
        with file.open("rb") as opened:
            refused[0] = 1
            connection.post_files("api/things/", {}, {"file": opened}, "sending a thing")
        assert bodies[-1] == bodies[-2]
        assert slept == [2] * 4
        refused[0] = 3
        with pytest.raises(ToolError, match=r"status 429 .*; finished work is kept"):
            connection.post_json("api/things/", {}, "making a thing")
        assert refused[0] == 0

        before = len(server.seen)
        server.answers["POST /api/things"] = Answer(b"{}", 503, headers={"Retry-After": "2"})
        with pytest.raises(ToolError, match="status 503"):
            connection.post_json("api/things/", {}, "making a thing")
        assert len(server.seen) == before + 1


def test_the_end_of_a_limit_that_is_not_reached_is_not_waited_for() -> None:
    with odd_server() as server:
        limited = {"X-RateLimit-Reset": f"{time.time() + 3600:.0f}"}
        server.answers["/api/things"] = Answer(b"{}", 502, headers=limited)
        connection = Connection(server.url, SECRET)
        begun = time.monotonic()
        with pytest.raises(ToolError, match="status 502"):
            connection.get_json("api/things", {}, "reading things")
        assert time.monotonic() - begun < 20
