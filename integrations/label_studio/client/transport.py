"""Transport for requests that carry the key, with limits on answers.

All requests of a `Connection` are sent here: our own, those of the SDK, and the exchange of a
personal access token. Redirects never carry the key to another host, and answers can't fill memory
or take forever.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from sparsedet.runtime.web_environment import checked_proxies, trusted_certificates
from sparsedet.wording import roughly

from .answers import NoJsonError, parse_json, shown
from .json_lists import entries
from .pauses import LONGEST_PAUSE, RATE_LIMIT_END, asked_pause, is_busy

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 15.0
TIMEOUT_SECONDS = 300.0
"""Timeout between two chunks of an answer. An export of 3,500 tasks takes 11 s on a small server;
big projects take minutes."""

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_PORTS = {"http": 80, "https": 443}
_ENCODINGS = ("", "identity", "gzip", "deflate")
"""Supported encodings; each expands a chunk of an answer at most a thousandfold."""
_MEGABYTE = 1_000_000
_NOTED_PAUSE = 5.0
"""Seconds from which people are informed of a pause."""
_REPEATS = 2
"""How often a request is repeated for a busy server; as many as the SDK's, which repeats reads."""
_BEGINNING = 500
_SHORTEST_KEY = 20
"""Anything shorter is not a Label Studio key, and may occur in any answer."""


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """Limits of an answer. An export of 100,000 boxes has about 100 MB."""

    megabytes: float = 1000.0
    """Unpacked."""
    seconds: float = 1800.0
    """From the request to the last byte of the answer."""


DEFAULT_LIMITS = AnswerLimits()


class AnswerProblem(Exception):
    """A problem with an answer, worded to follow "Label Studio at URL"."""


class BusyError(AnswerProblem):
    """The server asks for a longer pause than a request waits."""

    def __init__(self, status: int, pause: float) -> None:
        super().__init__(f"is busy and asks to wait {roughly(pause)} (status {status})")
        self.status = status


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a server's address."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def is_this_machine(url: str) -> bool:
    """Whether a server runs on this machine, where no proxy could reach it."""
    return urlsplit(url).hostname in _LOOPBACK


class KeyClient(httpx.Client):
    """An HTTP client for one server whose requests carry the key.

    A successful answer is JSON; only that of a deletion may be empty.

    Args:
        url: the server's address.
        key: the key, which must not occur in an answer.
        limits: limits of answers.

    Raises:
        SetupError: when the environment names proxies or certificates that can't be used.
    """

    def __init__(self, url: str, key: str, limits: AnswerLimits) -> None:
        with checked_proxies():
            super().__init__(
                verify=trusted_certificates(),
                trust_env=not is_this_machine(url),
                timeout=httpx.Timeout(TIMEOUT_SECONDS, connect=CONNECT_SECONDS),
                follow_redirects=True,
                limits=_connections(url),
                headers={"Accept-Encoding": "gzip, deflate"},
                event_hooks={"response": [_check_redirect]},
            )
        self._key = key.encode() if len(key) >= _SHORTEST_KEY else None
        self._limits = limits
        self.renewed: Callable[[], str | None] = lambda: None
        """Returns the `Authorization` with a new bearer token; None if the key needs none."""

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request and read the whole answer; once more if a bearer token has expired.

        A write that is refused since the server gets too many requests is repeated after the pause
        that it asks for: nothing was done. The SDK repeats reads, also after other failures.

        Raises:
            AnswerProblem: if it exceeds a limit, or does not come from Label Studio.
        """
        answer = self._send_authorized(request, **options)
        for repeats in range(_REPEATS if _is_write(request) else 0):
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                break
            time.sleep(asked_pause(answer) or 2.0**repeats)
            answer = self._send_authorized(request, **options)
        return answer

    def _send_authorized(self, request: httpx.Request, **options: Any) -> httpx.Response:
        answer = self._send_once(request, **options)
        if answer.status_code == httpx.codes.UNAUTHORIZED and "Authorization" in request.headers:
            authorization = self.renewed()
            if authorization is not None:
                request.headers["Authorization"] = authorization
                return self._send_once(request, **options)
        return answer

    def _send_once(self, request: httpx.Request, **options: Any) -> httpx.Response:
        begun = time.monotonic()
        waits = request.extensions.get("timeout", {})
        request.extensions["timeout"] = {
            step: self._limits.seconds if wait is None else min(wait, self._limits.seconds)
            for step, wait in waits.items()
        }
        response = super().send(request, **{**options, "stream": True})
        try:
            body = self._read(response, begun)
        finally:
            response.close()
        if self._key is not None:
            body = body.replace(self._key, b"***")
        if is_busy(response.status_code):
            self._note_pause(response)
        return Answer(response, body)

    def _note_pause(self, response: httpx.Response) -> None:
        """Say that we wait as long as the server asks; refuse to wait for too long."""
        pause = asked_pause(response)
        if pause > LONGEST_PAUSE:
            raise BusyError(response.status_code, pause)
        if pause >= _NOTED_PAUSE:
            logger.warning(
                "Label Studio is busy and asks to wait %s (status %d)",
                roughly(pause),
                response.status_code,
            )

    def _read(self, response: httpx.Response, begun: float) -> bytes:
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in _ENCODINGS:
            raise AnswerProblem(
                f"compressed its answer as {encoding[:40]!r}, which was not requested"
            )
        most = self._limits.megabytes * _MEGABYTE
        parts, size = [], 0
        for part in response.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > most:
                raise AnswerProblem(
                    f"sent more than {self._limits.megabytes:g} MB; if that is right, raise "
                    "max_answer_megabytes under [source] in sparsedet.toml"
                )
            if time.monotonic() - begun > self._limits.seconds:
                raise AnswerProblem(
                    f"did not finish its answer within {self._limits.seconds:g} s; if that is "
                    "right, raise max_answer_seconds under [source] in sparsedet.toml"
                )
        return b"".join(parts)


class Answer(httpx.Response):
    """A complete answer; JSON is parsed on demand."""

    def __init__(self, response: httpx.Response, body: bytes) -> None:
        kept = {b"content-type", b"retry-after"}
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            # Some servers always send it; the SDK would wait for it after any failure.
            kept.add(RATE_LIMIT_END.lower().encode())
        super().__init__(
            response.status_code,
            # As bytes, since proxies may send any.
            headers=[pair for pair in response.headers.raw if pair[0].lower() in kept],
            content=body,
            request=response.request,
        )
        deleted = self.status_code == httpx.codes.NO_CONTENT and self.request.method == "DELETE"
        if self.is_success and not body and not deleted:
            raise AnswerProblem(f"answered with status {self.status_code} and no content")

    def json(self, **options: Any) -> Any:
        """Return the parsed JSON; None for an error that is not JSON.

        Raises:
            AnswerProblem: if a successful answer is not JSON.
        """
        if not self.is_success:
            try:
                return parse_json(self.content)
            except NoJsonError:
                return super().json(**options)
        with self._problems():
            return parse_json(self.content) if self.content else None

    def entries(self) -> Iterator[Any]:
        """Yield the entries of an answer's list without holding all of them.

        Raises:
            AnswerProblem: if it is not a list.
        """
        with self._problems():
            yield from entries(self.content)

    @contextmanager
    def _problems(self) -> Iterator[None]:
        try:
            yield
        except NoJsonError as error:
            came = shown(self.content[:_BEGINNING].decode(errors="replace"))
            if came.startswith("a page"):
                came = f"a page of HTML ({len(self.content)} bytes)"
            raise AnswerProblem(
                f"sent an answer that {error}, but {came}; is there a proxy or login page in front "
                "of it?"
            ) from None


def _is_write(request: httpx.Request) -> bool:
    return request.method not in ("GET", "HEAD")


def _check_redirect(response: httpx.Response) -> None:
    """Refuse a redirect that would carry the key elsewhere, or turn a write into a read."""
    if not response.has_redirect_location:
        return
    request = response.request
    try:
        target = request.url.join(response.headers["Location"])
        to = origin(str(target))
    except (httpx.InvalidURL, ValueError):
        raise AnswerProblem("redirects to an invalid address") from None
    here = origin(str(request.url))
    # On default ports, http and https are the same server.
    secured = (("http", here[1], 80), ("https", here[1], 443))
    if to != here and (here, to) != secured:
        raise AnswerProblem(
            f"redirects to {to[0]}://{to[1]}:{to[2]}, where the API key must not be sent; use the "
            "address at which Label Studio itself answers, without a login page in front of it"
        )
    if _is_write(request) and response.status_code not in (307, 308):
        raise AnswerProblem(
            f"redirects a {request.method} to another address, where it would change nothing; use "
            "the address at which Label Studio itself answers (https?)"
        )
    # httpx would read all of its body before it follows. The type also allows for streams of
    # asynchronous clients, which have no `close`; this client is none.
    response.stream.close()  # type: ignore[union-attr]
    response.stream = httpx.ByteStream(b"")


def _connections(url: str) -> httpx.Limits:
    """Return httpx's default limits, but without keep-alive for a server on this machine.

    `label-studio start` sends an answer in several small packets. On all but the first request of a
    connection, the last one waits 40 ms for our delayed acknowledgement.
    """
    kept = 0 if is_this_machine(url) else 20
    return httpx.Limits(max_connections=100, max_keepalive_connections=kept)
