"""Images from the web: every step of the way is checked, and the key stays with Label Studio."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self
from urllib.request import getproxies, proxy_bypass

import httpx

from sparsedet.image_options import ImageOptions

from ..connection import CONNECT_SECONDS, Connection, trusted_certificates
from .addresses import shown_address
from .content import Content
from .hosts import HostRules, host_and_port, literal_address
from .transport import Deadline, ImageTransport
from .unreadable import Kind, Unreadable

READ_SECONDS = 60.0
_MOST_REDIRECTS = 10
_RETRY_AFTER = (0.2, 0.4)
"""Seconds before a request is made once more that failed for a reason that may pass."""
_NOWHERE = "the server redirects to an address that is none"
_BUSY = {429, 502, 503, 504}
_LENGTH = re.compile(r"[0-9]{1,18}")
_LONGEST_REASON = 200
_NOT_IN_TYPES = re.compile(r"[^\w/+.-].*", re.DOTALL)


class ServerGoneError(Exception):
    """Label Studio itself can't be reached: no image of the project could be had."""

    def __init__(self, cause: httpx.HTTPError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class WebImages:
    """Opens images by their web addresses; safe to use from several threads.

    Args:
        connection: its key is sent to its own server only, and never after a redirect elsewhere.
        options: limits, and the hosts that may be asked.
        threads: that ask at a time.
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
        # Where a proxy is set up, it makes the connections, and its rules hold for names.
        self._proxies = getproxies()
        self._proxied = httpx.Client(
            timeout=timeout,
            trust_env=False,
            verify=certificates,
            mounts={
                f"{scheme}://": httpx.HTTPTransport(verify=certificates, proxy=proxy)
                for scheme, proxy in self._proxies.items()
                if scheme in ("http", "https", "all")
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
        """End whatever is being read, at its next byte."""
        self._deadline.stop()

    @contextmanager
    def open(self, url: str, known: Mapping[str, str]) -> Iterator[Content | None]:
        """Ask for an image; the block reads it, in time.

        Args:
            url: its web address.
            known: headers by which the server says that it has not changed, if it is known.

        Yields:
            What the server sends; None: it has not changed.

        Raises:
            Unreadable: when it can't be had.
            ServerGoneError: when Label Studio itself can't be reached.
        """
        with ExitStack() as stack, self._deadline.within(self._options.max_seconds):
            try:
                response = self._answer(url, known, stack)
                unchanged = response.status_code == httpx.codes.NOT_MODIFIED
                yield None if unchanged else self._content(response)
            except httpx.HTTPError as error:
                raise self._unreadable(error) from None

    def _answer(self, url: str, known: Mapping[str, str], stack: ExitStack) -> httpx.Response:
        """Follow redirects to the answer; every host on the way is checked."""
        request, with_key = self._request(url, known), True
        for _ in range(_MOST_REDIRECTS):
            with_key = with_key and self._is_own(request.url)
            if with_key:
                request.headers.update(self._connection.headers())
            response = self._send(request, stack)
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
        # Images are compressed already; a server that packs them all the same is unpacked.
        headers = {"Accept-Encoding": "identity", "Accept": "image/*,*/*;q=0.5", **known}
        try:
            host_and_port(url)
            request = self._direct.build_request("GET", url, headers=headers)
        except (httpx.InvalidURL, ValueError, UnicodeError, TypeError):
            raise Unreadable(
                Kind.UNKNOWN_ADDRESS, f"{shown_address(url)} is no web address"
            ) from None
        if self._is_own(request.url):
            # A login in a link must not take the place of the key.
            request.url = request.url.copy_with(userinfo=b"")
        return request

    def _send(self, request: httpx.Request, stack: ExitStack) -> httpx.Response:
        """Send a request, and once more where what failed may pass."""
        client = self._client(request.url)
        for pause in (*_RETRY_AFTER, None):
            try:
                response = client.send(request, stream=True)
            except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
                if "location header" in str(error):
                    # httpx reads it, whether it follows or not, and quotes what it can't read.
                    raise Unreadable(Kind.MISSING, _NOWHERE) from None
                if pause is None or self._deadline.is_over:
                    raise
            else:
                stack.callback(response.close)
                if pause is None or response.status_code not in _BUSY:
                    return response
                response.close()
            time.sleep(pause)
        raise AssertionError  # the last try returns or raises

    def _client(self, url: httpx.URL) -> httpx.Client:
        if not {url.scheme, "all"} & self._proxies.keys() or proxy_bypass(url.host):
            return self._direct
        # The proxy makes the connection; what a name resolves to is seen there alone.
        address = literal_address(url.host)
        if address is not None:
            self._rules.check(*host_and_port(str(url)), address)
        return self._proxied

    def _check(self, response: httpx.Response, *, asked: bool) -> None:
        """Refuse an answer that says that there is no image.

        Args:
            response: the answer.
            asked: whether the image may be the one that is known.
        """
        if response.is_success or (asked and response.status_code == httpx.codes.NOT_MODIFIED):
            return
        # The server answers 404 for a missing local file and 500 for a missing upload.
        reason = f"the server answered with status {response.status_code}"
        url = response.request.url
        if self._is_own(url) and url.path.endswith("/resolve/"):
            reason += "; is its storage connected to the project in Label Studio?"
        raise Unreadable(Kind.MISSING, reason)

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
        """Return what an error of the network means for an image."""
        if isinstance(error, httpx.TimeoutException) and self._deadline.is_over:
            return self._too_slow()
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            if self._is_own(error.request.url):
                return ServerGoneError(error)
            return Unreadable(Kind.NOT_CONNECTED, f"its host can't be reached ({_line(error)})")
        if isinstance(error, httpx.TimeoutException):
            return Unreadable(Kind.NOT_CONNECTED, "its host did not answer in time")
        return Unreadable(Kind.MISSING, f"the connection broke off ({_line(error)})")

    def _too_slow(self) -> Unreadable:
        return Unreadable(
            Kind.OVER_LIMIT,
            f"it takes more than {self._options.max_seconds:g} s ([images] max_seconds in "
            "sparsedet.toml)",
        )

    def _is_own(self, url: httpx.URL) -> bool:
        return (url.scheme, url.host, url.port) == self._own


def _line(error: Exception) -> str:
    """Return an error's text as a part of one line."""
    text = "".join(c if c.isprintable() else " " for c in str(error)[:_LONGEST_REASON])
    return text or type(error).__name__
