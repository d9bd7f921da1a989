"""Images from the web: every redirect is checked, and the key is only sent to Label Studio."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self
from urllib.request import proxy_bypass

import httpx

from sparsedet.image_options import ImageOptions
from sparsedet.runtime.web_environment import checked_proxies, proxies, trusted_certificates
from sparsedet.wording import roughly

from ..client.connection import CONNECT_SECONDS, Connection
from ..client.pauses import LONGEST_PAUSE, asked_pause, is_busy
from ..client.transport import is_this_machine
from .addresses import shown_address
from .content import Content
from .hosts import HostRules, host_and_port, literal_address
from .transport import Deadline, ImageTransport
from .unreadable import Kind, Unreadable

READ_SECONDS = 60.0
_MOST_REDIRECTS = 10
_RETRY_AFTER = (0.2, 0.4)
"""Seconds before a request that failed for a temporary reason is retried."""
_STEP = 0.2
"""Seconds between two looks at whether to stop."""
_NOWHERE = "the server redirects to an invalid address"
_BUSY = {429, 502, 503, 504}
_LENGTH = re.compile(r"[0-9]{1,18}")
_LONGEST_REASON = 200
_NOT_IN_TYPES = re.compile(r"[^\w/+.-].*", re.DOTALL)


class ServerGoneError(Exception):
    """Label Studio itself can't be reached, so all images are unavailable."""

    def __init__(self, cause: httpx.HTTPError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class WebImages:
    """Opens images by their web addresses; thread-safe.

    Args:
        connection: its key is only sent to its own server, never after a redirect elsewhere.
        options: limits and allowed hosts.
        threads: maximum number of concurrent threads.
    """

    def __init__(self, connection: Connection, options: ImageOptions, threads: int) -> None:
        self._connection = connection
        self._options = options
        own = httpx.URL(connection.url)
        self._own = (own.scheme, own.host, own.port)
        self._rules = HostRules(connection.url, options.allow_hosts)
        self._deadline = Deadline()
        timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, pool=None)
        certificates = trusted_certificates()
        self._direct = httpx.Client(
            timeout=timeout,
            transport=ImageTransport(self._rules, self._deadline, certificates, threads),
        )
        # A configured proxy makes the connections, and applies its own rules to names.
        self._proxies = proxies()
        with checked_proxies():
            self._proxied = httpx.Client(
                timeout=timeout,
                trust_env=False,
                verify=certificates,
                mounts={
                    f"{scheme}://": httpx.HTTPTransport(verify=certificates, proxy=proxy)
                    for scheme, proxy in self._proxies.items()
                },
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._direct.close()
        self._proxied.close()

    def stop(self) -> None:
        """Stop all reads at their next byte."""
        self._deadline.stop()

    @contextmanager
    def open(self, url: str, known: Mapping[str, str]) -> Iterator[Content | None]:
        """Request an image; the block must read it within the deadline.

        Args:
            url: its web address.
            known: conditional headers, if the image is known.

        Yields:
            The content; None if it has not changed.

        Raises:
            Unreadable: if it is unavailable.
            ServerGoneError: if Label Studio itself can't be reached.
            ToolError: if it no longer accepts the key.
        """
        with ExitStack() as stack, self._deadline.within(self._options.max_seconds):
            try:
                response = self._answer(url, known, stack)
                unchanged = response.status_code == httpx.codes.NOT_MODIFIED
                yield None if unchanged else self._content(response)
            except httpx.HTTPError as error:
                raise self._unreadable(error) from None

    def _answer(self, url: str, known: Mapping[str, str], stack: ExitStack) -> httpx.Response:
        """Follow redirects, checking every host."""
        request, with_key = self._request(url, known), True
        for _ in range(_MOST_REDIRECTS):
            with_key = with_key and self._is_own(request.url)
            if with_key:
                request.headers.update(self._connection.headers())
            response = self._send(request, stack)
            refused = with_key and response.status_code == httpx.codes.UNAUTHORIZED
            if refused and (authorization := self._connection.renewed()):
                response.close()
                request.headers["Authorization"] = authorization
                response = self._send(request, stack)
            if with_key and response.status_code == httpx.codes.UNAUTHORIZED:
                # Of an image that Label Studio can't get from a storage, or of the key: without
                # it, all other images would seem to be missing too.
                self._connection.check_key("downloading images")
            if not response.has_redirect_location:
                self._check(response, asked=bool(known))
                return response
            response.close()
            try:
                target = request.url.join(response.headers["location"])
            except (httpx.InvalidURL, ValueError, UnicodeError):
                raise Unreadable(Kind.MISSING, _NOWHERE) from None
            request = self._request(str(target), known)
        raise Unreadable(Kind.MISSING, f"the server redirects more than {_MOST_REDIRECTS} times")

    def _request(self, url: str, known: Mapping[str, str]) -> httpx.Request:
        # Images are already compressed; if a server compresses them anyway, they are decompressed.
        headers = {"Accept-Encoding": "identity", "Accept": "image/*,*/*;q=0.5", **known}
        try:
            host_and_port(url)
            request = self._direct.build_request("GET", url, headers=headers)
        except (httpx.InvalidURL, ValueError, UnicodeError, TypeError):
            raise Unreadable(
                Kind.UNKNOWN_ADDRESS, f"{shown_address(url)} is not a web address"
            ) from None
        if self._is_own(request.url):
            # A login in a link must not replace the key.
            request.url = request.url.copy_with(userinfo=b"")
        return request

    def _send(self, request: httpx.Request, stack: ExitStack) -> httpx.Response:
        """Send a request, again after temporary failures, when a busy server asks for it."""
        client = self._client(request.url)
        for pause in (*_RETRY_AFTER, None):
            try:
                response = client.send(request, stream=True)
            except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
                if "location header" in str(error):
                    # httpx parses it even without following, and quotes what it can't parse.
                    raise Unreadable(Kind.MISSING, _NOWHERE) from None
                if pause is None or self._deadline.is_over:
                    raise
            else:
                stack.callback(response.close)
                asked = asked_pause(response)
                if pause is None or response.status_code not in _BUSY or asked > LONGEST_PAUSE:
                    return response
                pause = max(pause, asked)
                response.close()
            self._wait(pause)
        raise AssertionError  # the last try returns or raises

    def _wait(self, seconds: float) -> None:
        """Wait before a retry, but not longer than the download may take."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._deadline.is_over:
            time.sleep(min(left, _STEP))

    def _client(self, url: httpx.URL) -> httpx.Client:
        here = self._is_own(url) and is_this_machine(str(url))
        if here or not {url.scheme, "all"} & self._proxies.keys() or proxy_bypass(url.host):
            return self._direct
        # The proxy makes the connection, and resolves names itself.
        address = literal_address(url.host)
        if address is not None:
            self._rules.check(*host_and_port(str(url)), address)
        return self._proxied

    def _check(self, response: httpx.Response, *, asked: bool) -> None:
        """Refuse an answer without an image.

        Args:
            response: the answer.
            asked: whether the request was conditional.
        """
        if response.is_success or (asked and response.status_code == httpx.codes.NOT_MODIFIED):
            return
        # The server answers 404 for a missing local file and 500 for a missing upload.
        reason = f"the server answered with status {response.status_code}"
        failed, pause = is_busy(response.status_code), asked_pause(response)
        if failed and pause:
            reason += f" and asks to wait {roughly(pause)}"
        url = response.request.url
        if self._is_own(url) and url.path.endswith("/resolve/"):
            reason += "; is its storage connected to the project in Label Studio?"
        kind = Kind.FAILED if failed else Kind.MISSING
        raise Unreadable(kind, reason, passing=failed and not pause)

    def _content(self, response: httpx.Response) -> Content:
        headers = response.headers
        length = headers.get("content-length", "")
        return Content(
            chunks=self._in_time(response.iter_raw()),
            length=int(length) if _LENGTH.fullmatch(length) else None,
            kind=_NOT_IN_TYPES.sub("", headers.get("content-type", "")),
            packed=headers.get("content-encoding", ""),
            etag=headers.get("etag", ""),
            last_modified=headers.get("last-modified", ""),
        )

    def _in_time(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if self._deadline.is_over:
                raise self._too_slow()
            yield chunk

    def _unreadable(self, error: httpx.HTTPError) -> Exception:
        """Convert a network error to an error about the image."""
        if isinstance(error, httpx.TimeoutException) and self._deadline.is_over:
            return self._too_slow()
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            if self._is_own(error.request.url):
                return ServerGoneError(error)
            return Unreadable(Kind.NOT_CONNECTED, f"its host can't be reached ({_line(error)})")
        if isinstance(error, httpx.TimeoutException):
            return Unreadable(Kind.NOT_CONNECTED, "its host did not answer in time")
        return Unreadable(
            Kind.FAILED, f"the connection was interrupted ({_line(error)})", passing=True
        )

    def _too_slow(self) -> Unreadable:
        return Unreadable(
            Kind.OVER_LIMIT,
            f"it takes more than {self._options.max_seconds:g} s ([images] max_seconds in "
            "sparsedet.toml)",
        )

    def _is_own(self, url: httpx.URL) -> bool:
        return (url.scheme, url.host, url.port) == self._own


def _line(error: Exception) -> str:
    """Return an error's text on one line."""
    text = "".join(c if c.isprintable() else " " for c in str(error)[:_LONGEST_REASON])
    return text or type(error).__name__
