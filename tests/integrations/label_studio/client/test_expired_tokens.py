"""Bearer tokens that the server's clock takes for expired, but not this machine's."""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jwt
import pytest

from sparsedet.errors import ToolError
from sparsedet.integrations.label_studio.client.connection import Connection
from sparsedet.integrations.label_studio.project_pull import pull_project
from tests.hostile.odd_server import Answer, OddServer, json_answer, odd_server

SECRET = "a secret of the server's own, long"
EXCHANGE = "POST /api/token/refresh/"
_numbers = itertools.count()


def token(kind: str) -> str:
    """Return a token that is valid for an hour by this machine's clock."""
    content = {"exp": int(time.time()) + 3600, "token_type": kind, "jti": next(_numbers)}
    return jwt.encode(content, SECRET)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OddServer]:
    """A server whose bearer tokens are good for three requests."""
    with odd_server() as odd:
        usual: Callable[[str, str], Answer] = odd.answer
        left: dict[str, int] = {}

        def answer(method: str, path: str) -> Answer:
            if f"{method} {path}" == EXCHANGE:
                made = token("access")
                left[f"Bearer {made}"] = 3
                return usual(method, path) if EXCHANGE in odd.answers else access(made)
            bearer = odd.seen[-1][1].get("Authorization", "")
            left[bearer] = left.get(bearer, 0) - 1
            if left[bearer] < 0:
                return json_answer({"detail": "Given token not valid for any token type"}, 401)
            return usual(method, path)

        monkeypatch.setattr(odd, "answer", answer)
        yield odd


def access(made: str) -> Answer:
    return json_answer({"access": made})


def exchanges(server: OddServer) -> int:
    return sum(request == EXCHANGE for request, _ in server.seen)


def test_requests_are_repeated_with_a_new_token(server: OddServer) -> None:
    connection = Connection(server.url, token("refresh"))
    server.answers["POST /api/tasks/"] = json_answer({"id": 5})
    server.answers["POST /api/files/"] = json_answer({"id": 6})
    for _ in range(4):
        assert connection.get_object("api/version", {}, "its version")
        assert connection.post_json("api/tasks/", {}, "writing") == {"id": 5}
        files = {"a": ("a.png", b"...", "image/png")}
        assert connection.post_files("api/files/", {}, files, "uploading") == {"id": 6}
    assert exchanges(server) >= 4


def test_so_are_downloads_of_images(server: OddServer, tmp_path: Path) -> None:
    connection = Connection(server.url, token("refresh"))
    dataset = pull_project(connection, "1", tmp_path / "images")
    assert len(dataset.images) == 2
    assert exchanges(server) >= 2


def test_a_token_that_was_revoked_is_an_error(server: OddServer) -> None:
    connection = Connection(server.url, token("refresh"))
    server.answers[EXCHANGE] = json_answer({"detail": "Token is blacklisted"}, 401)
    for _ in range(2):
        connection.get_json("api/version", {}, "its version")
    with pytest.raises(ToolError, match="refused the API key: Token is blacklisted"):
        connection.get_json("api/version", {}, "its version")


def test_a_legacy_token_is_sent_once() -> None:
    with odd_server() as server:
        connection = Connection(server.url, "0123456789abcdef0123456789abcdef01234567")
        server.answers["/api/version"] = json_answer({"detail": "Invalid token."}, 401)
        server.seen.clear()
        with pytest.raises(ToolError, match="refused the API key: Invalid token"):
            connection.get_json("api/version", {}, "its version")
        assert len(server.seen) == 1
