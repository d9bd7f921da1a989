"""An HTTP proxy before a server, which injects one fault into the requests that pass.

A request is read completely before it is handled, and has its own connection on both sides: a fault
in one request affects no other.
"""

import contextlib
import http
import io
import select
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "cut-before",
    "cut-half",
    "cut-after",
    "429",
    "500",
    "503",
    "502-after",
    "time-out",
    "late-during",
    "late-after",
    "person-saves",
    "kill-client",
    "kill-server",
]

MEANING: dict[Kind, str] = {
    "cut-before": "the connection is reset before the server sees the request",
    "cut-half": "the server gets half of the request, then both connections are closed",
    "cut-after": "the server answers, the connection is reset before the client sees it",
    "429": "the proxy answers 429; the server sees nothing",
    "500": "the proxy answers 500; the server sees nothing",
    "503": "the proxy answers 503; the server sees nothing",
    "502-after": "the server answers, the client gets 502",
    "time-out": "the server answers, the client waits until somebody ends it",
    "late-during": "reset at once; the server gets the request just before the next write",
    "late-after": "reset at once; the server gets the request when the harness says so",
    "person-saves": "a person's save reaches the server just before the request",
    "kill-client": "the client is killed as soon as the request is sent",
    "kill-server": "the server is killed while it works on the request",
}

_REFUSALS: dict[Kind, int] = {"429": 429, "500": 500, "503": 503}
_READS = ("GET", "HEAD", "OPTIONS")
_OF_CONNECTION = (b"connection", b"keep-alive")
_UPSTREAM_SECONDS = 120.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Request:
    """A request as received from the client."""

    method: str
    path: str
    """With its query."""
    head: bytes
    """Request line and headers, including the final empty line."""
    body: bytes

    @property
    def is_write(self) -> bool:
        """Whether it may change something on the server."""
        return self.method not in _READS

    @property
    def whole(self) -> bytes:
        """The bytes to send to the server."""
        return self.head + self.body

    @property
    def half(self) -> bytes:
        """Half of the body; without one, half of the head."""
        if self.body:
            return self.head + self.body[: len(self.body) // 2]
        return self.head[: len(self.head) // 2]


@dataclass(frozen=True)
class Injection:
    """A fault, and the request that it hits."""

    kind: Kind
    number: int
    """Number, from 1, among the writes, or the reads, since it was armed."""
    of_reads: bool = False
    act: Callable[[Request], None] = lambda request: None
    """Side effect outside of the connection: a person saves, a process is killed."""


class Proxy:
    """Forwards requests to `upstream`, a (host, port) that may change while the proxy runs."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.upstream = upstream
        self.url = ""
        self.writes: list[Request] = []
        """Requests since the proxy was last armed or disarmed."""
        self.hit: Request | None = None
        """The request that the fault hit."""
        self.reached = threading.Event()
        """Set when the fault has been injected; for a time-out, when the server has answered."""
        self._injection: Injection | None = None
        self._reads = 0
        self._held: Request | None = None
        self._held_for_write = False
        self._released = threading.Event()
        self._lock = threading.Lock()

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        """Listen on a free port of 127.0.0.1 during the block."""
        proxy = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):
                    request = _read_request(self.rfile)
                    if request is not None:
                        proxy._pass(request, self.connection)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 64

            def shutdown_request(
                self, request: socket.socket | tuple[bytes, socket.socket]
            ) -> None:
                # Closed without a FIN, so that `_reset` resets.
                self.close_request(request)

        with Server(("127.0.0.1", 0), Handler) as server:
            self.url = f"http://127.0.0.1:{server.server_address[1]}"
            threading.Thread(
                target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True
            ).start()
            try:
                yield self
            finally:
                self.disarm()
                server.shutdown()

    def arm(self, injection: Injection) -> None:
        """Inject a fault into a later request."""
        with self._lock:
            self._injection, self.hit = injection, None
            self.writes, self._reads = [], 0
            self.reached.clear()
            self._released.clear()

    def disarm(self) -> list[Request]:
        """Stop injecting, and release a response that is held back.

        Returns:
            The writes since the proxy was armed, or last disarmed.
        """
        with self._lock:
            writes, self.writes = self.writes, []
            self._injection = None
            self._released.set()
            return writes

    def deliver_late(self) -> bool:
        """Deliver the held request, if there is one; return whether there was."""
        with self._lock:
            held, self._held, self._held_for_write = self._held, None, False
        if held is not None:
            with contextlib.suppress(OSError):
                self._forward(held)
        return held is not None

    def _pass(self, request: Request, client: socket.socket) -> None:
        fault = self._fault_for(request)
        if fault is not None:
            self._inject(fault, request, client)
            return
        try:
            answer = self._forward(request)
        except OSError:
            _reset(client)
        else:
            client.sendall(answer)

    def _fault_for(self, request: Request) -> Injection | None:
        """Count the request; return the fault if this is the request it waits for."""
        if request.is_write and self._held_for_write:
            self.deliver_late()
        with self._lock:
            if request.is_write:
                self.writes.append(request)
            else:
                self._reads += 1
            fault = self._injection
            if fault is None or fault.of_reads == request.is_write:
                return None
            if fault.number != (self._reads if fault.of_reads else len(self.writes)):
                return None
            self.hit = request
            return fault

    def _inject(self, fault: Injection, request: Request, client: socket.socket) -> None:
        try:
            if fault.kind in _REFUSALS:
                client.sendall(_answer(_REFUSALS[fault.kind]))
            elif fault.kind == "person-saves":
                fault.act(request)
                client.sendall(self._forward(request))
            else:
                self._cut(fault, request, client)
        except OSError:
            _reset(client)
        finally:
            self.reached.set()

    def _cut(self, fault: Injection, request: Request, client: socket.socket) -> None:
        """Inject a fault after which the client never sees the server's answer."""
        if fault.kind == "cut-half":
            self._send(request.half).close()
        elif fault.kind in ("cut-after", "502-after", "time-out"):
            self._forward(request)
        elif fault.kind in ("late-during", "late-after"):
            self._held, self._held_for_write = request, fault.kind == "late-during"
        elif fault.kind == "kill-client":
            fault.act(request)
            self._forward(request)
        elif fault.kind == "kill-server":
            with self._send(request.whole):
                fault.act(request)
        if fault.kind == "502-after":
            client.sendall(_answer(502))
            return
        if fault.kind == "time-out":
            self.reached.set()
            self._wait_for_end(client)
        _reset(client)

    def _wait_for_end(self, client: socket.socket) -> None:
        while not self._released.is_set():
            readable, _, _ = select.select([client], [], [], _POLL_SECONDS)
            if readable and not client.recv(1):
                return

    def _send(self, data: bytes) -> socket.socket:
        server = socket.create_connection(self.upstream, timeout=_UPSTREAM_SECONDS)
        server.sendall(data)
        return server

    def _forward(self, request: Request) -> bytes:
        """Return the server's whole answer."""
        with self._send(request.whole) as server:
            parts = []
            while part := server.recv(65536):
                parts.append(part)
        if not parts:
            raise ConnectionResetError("the server closed the connection without an answer")
        head, end, body = b"".join(parts).partition(b"\r\n\r\n")
        return _closing(head.split(b"\r\n")) + end + body


def _read_request(stream: io.BufferedIOBase) -> Request | None:
    """Return the next request of a connection; None at its end."""
    line = stream.readline()
    method, _, rest = line.decode("latin-1").partition(" ")
    path = rest.rpartition(" ")[0]
    if not path:
        return None
    lines = [line.rstrip(b"\r\n")]
    while header := stream.readline().rstrip(b"\r\n"):
        lines.append(header)
    length = next(
        (line[15:] for line in lines if line.lower().startswith(b"content-length:")), b"0"
    )
    return Request(method, path, _closing(lines) + b"\r\n\r\n", stream.read(int(length)))


def _closing(lines: Sequence[bytes]) -> bytes:
    """Return first line and headers, announcing that the connection closes after this message.

    Otherwise a client would send its next request into the closing connection.
    """
    kept = [line for line in lines if line.partition(b":")[0].lower() not in _OF_CONNECTION]
    return b"\r\n".join([*kept, b"Connection: close"])


def _answer(status: int) -> bytes:
    """Return a response like that of a web server in front of Label Studio."""
    title = f"{status} {http.HTTPStatus(status).phrase}"
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    headers = f"Content-Type: text/html\r\nContent-Length: {len(page)}\r\nConnection: close"
    return f"HTTP/1.1 {title}\r\n{headers}\r\n\r\n{page}".encode()


def _reset(client: socket.socket) -> None:
    """Make the connection end with a reset when it is closed."""
    with contextlib.suppress(OSError):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
