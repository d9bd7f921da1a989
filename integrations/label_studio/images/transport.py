"""Connections for images: only to allowed hosts, and with a deadline.

A read timeout is not enough: a server that sends a byte per second never exceeds it. Here every
read of a download ends at the download's deadline.
"""

import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from .hosts import HostRules


class Deadline:
    """Deadline of the current thread's download."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._stopped = False

    def stop(self) -> None:
        """Stop the downloads of all threads at their next byte."""
        self._stopped = True

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Limit the downloads of the block to this many seconds in total."""
        self._local.end = time.monotonic() + seconds
        try:
            yield
        finally:
            self._local.end = None

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        end = self._end
        return self._stopped or (end is not None and time.monotonic() >= end)

    def shorten(self, timeout: float | None) -> float | None:
        """Return a timeout that ends at the deadline at the latest.

        Raises:
            httpcore.ReadTimeout: if the deadline has passed.
        """
        if self.is_over:
            raise httpcore.ReadTimeout("the time is up")
        end = self._end
        if end is None:
            return timeout
        left = max(end - time.monotonic(), 0.001)
        return left if timeout is None else min(timeout, left)

    @property
    def _end(self) -> float | None:
        end: float | None = getattr(self._local, "end", None)
        return end


class ImageTransport(httpx.HTTPTransport):
    """httpx's transport, with connections that respect rules and deadline.

    Args:
        rules: rules for allowed hosts.
        deadline: deadline of the downloads.
        certificates: trusted certificates.
        connections: maximum number of open connections.
    """

    def __init__(
        self, rules: HostRules, deadline: Deadline, certificates: ssl.SSLContext, connections: int
    ) -> None:
        super().__init__(verify=certificates)
        # httpx has no argument for the network backend of its pool.
        self._pool = httpcore.ConnectionPool(
            ssl_context=certificates,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=5.0,
            network_backend=_Network(rules, deadline),
        )


class _Network(httpcore.NetworkBackend):
    def __init__(self, rules: HostRules, deadline: Deadline) -> None:
        self._rules = rules
        self._deadline = deadline
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        problem: Exception = httpcore.ConnectError("no address")
        for address in self._rules.addresses(host, port):
            timeout = self._deadline.shorten(timeout)
            try:
                stream = self._plain.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
                continue
            return _Stream(stream, self._deadline)
        raise problem


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.shorten(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.shorten(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        timeout = self._deadline.shorten(timeout)
        return _Stream(
            self._stream.start_tls(ssl_context, server_hostname, timeout), self._deadline
        )

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
