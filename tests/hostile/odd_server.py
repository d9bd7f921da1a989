"""A small server that answers like Label Studio, except where a case replaces the answer."""

import io
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import PIL.Image

CONFIG = """<View><Image name="image" value="$image"/>
<RectangleLabels name="label" toName="image"><Label value="orange"/><Label value="apple"/>
</RectangleLabels></View>"""
IMAGE_SIZE = (40, 30)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server sends."""

    body: bytes
    status: int = 200
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: Callable[[], Iterable[bytes]] | None = None
    """Makes what is sent after the body, piece by piece; then no length is sent."""


def json_answer(body: object, status: int = 200) -> Answer:
    """Return an answer that holds JSON."""
    return Answer(json.dumps(body).encode(), status)


def page(text: str = "<html><body>Please log in</body></html>", status: int = 200) -> Answer:
    """Return an answer as a login page before the server gives it."""
    return Answer(text.encode(), status, "text/html; charset=utf-8")


def picture(size: tuple[int, int] = IMAGE_SIZE) -> bytes:
    """Return the bytes of a PNG."""
    file = io.BytesIO()
    PIL.Image.new("RGB", size, (200, 120, 40)).save(file, "PNG")
    return file.getvalue()


def task(id: int, image: object = None, **more: Any) -> dict[str, Any]:
    """Return a task of an export, with one box."""
    value = {"x": 10, "y": 10, "width": 40, "height": 50, "rotation": 0}
    region = {
        "id": f"r{id}",
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": IMAGE_SIZE[0],
        "original_height": IMAGE_SIZE[1],
        "value": {**value, "rectanglelabels": ["orange"]},
    }
    return {
        "id": id,
        "data": {"image": f"/images/{id}.png" if image is None else image},
        "annotations": [{"id": id, "result": [region], "was_cancelled": False}],
        "updated_at": "2026-01-01T00:00:00Z",
        **more,
    }


class OddServer:
    """Project 1 with two tasks; `answers` replaces what a path is answered with.

    Attributes:
        url: its address.
        answers: by the longest text that a request's path and query begin with; a request with
            another method than GET is looked up with it, as in "POST /api/predictions".
        seen: the requests, as "GET /api/version" and their headers.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, Answer] = {}
        self.seen: list[tuple[str, Mapping[str, str]]] = []
        self._usual = {
            "/api/current-user/whoami": json_answer({"id": 1, "email": "a@example.com"}),
            "/api/version": json_answer({"release": "1.23.2"}),
            "/api/projects/1": json_answer(
                {"id": 1, "title": "fruit", "label_config": CONFIG, "description": ""}
            ),
            "/api/projects/1/export": json_answer([task(1), task(2)]),
            "/images/": Answer(picture(), kind="image/png"),
        }

    def answer(self, method: str, path: str) -> Answer:
        """Return what a request gets."""
        name = path if method == "GET" else f"{method} {path}"
        for answers in (self.answers, self._usual):
            fitting = [key for key in answers if name.startswith(key)]
            if fitting:
                return answers[max(fitting, key=len)]
        return json_answer({"detail": "Not found."}, 404)


@contextmanager
def odd_server() -> Iterator[OddServer]:
    """Run a server on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        do_POST = do_PATCH = do_DELETE = do_PUT = do_GET

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            target = urlsplit(self.path)  # to a proxy it is a whole address
            path = target.path
            odd.seen.append((f"{self.command} {path}", dict(self.headers)))
            answer = odd.answer(self.command, f"{path}?{target.query}" if target.query else path)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if "Content-Length" not in answer.headers and answer.stream is None:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            with suppress(ConnectionError):
                self.wfile.write(answer.body)
                for piece in answer.stream() if answer.stream else ():
                    self.wfile.write(piece)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    odd = OddServer(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield odd
    finally:
        server.shutdown()
        server.server_close()
