"""The connection to a Label Studio server: address, key, and its errors as one line each."""

import contextlib
import getpass
import os
import ssl
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from sparsedet.errors import ToolError

if TYPE_CHECKING:
    from label_studio_sdk.client import LabelStudio
    from label_studio_sdk.core.request_options import RequestOptions

URL_VARIABLE = "LABEL_STUDIO_URL"
KEY_VARIABLE = "LABEL_STUDIO_API_KEY"

TIMEOUT_SECONDS = 300.0
"""An export of 3,500 tasks takes 11 s on a small server; big projects take minutes."""
CONNECT_SECONDS = 15.0

WRITE: "RequestOptions" = {"max_retries": 0, "timeout_in_seconds": int(TIMEOUT_SECONDS)}
"""For requests that create things: the SDK would repeat them on a 5xx and create them twice."""

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_MAX_DETAIL = 300
_CONNECTING = "connecting"
"""What the first request is for."""


class Connection:
    """An authenticated connection; takes legacy tokens and personal access tokens alike.

    Args:
        url: the server's address; None reads LABEL_STUDIO_URL.
        api_key: None reads LABEL_STUDIO_API_KEY, or asks on a terminal.

    Raises:
        ToolError: when address or key are missing or malformed, the server is not reachable, or
            it refuses the key.
    """

    def __init__(self, url: str | None = None, api_key: str | None = None) -> None:
        self.url = _checked_url(url or os.environ.get(URL_VARIABLE))
        self._key = _checked_key(api_key or os.environ.get(KEY_VARIABLE) or _ask_for_key(self.url))
        from label_studio_sdk import client as sdk  # 2 s: not before somebody connects

        with self.request(_CONNECTING):
            # no-untyped-call: the SDK's constructor has no annotations.
            self.client: LabelStudio = sdk.LabelStudio(  # type: ignore[no-untyped-call]
                # The slash keeps a path prefix when the SDK joins the token refresh's path to it.
                base_url=self.url + "/",
                api_key=self._key,
                httpx_client=httpx.Client(
                    verify=trusted_certificates(),
                    timeout=httpx.Timeout(TIMEOUT_SECONDS, connect=CONNECT_SECONDS),
                    follow_redirects=True,
                    limits=_limits(self.url),
                ),
            )
            self.client.users.whoami(
                request_options={"timeout_in_seconds": int(CONNECT_SECONDS), "max_retries": 0}
            )

    @property
    def api_key(self) -> str:
        """The key, for a connection of another process; never to be written anywhere."""
        return self._key

    def headers(self) -> Mapping[str, str]:
        """Return the headers that authenticate a request now; safe to call from several threads.

        A personal access token is exchanged for a bearer token that lasts minutes and is renewed
        here, so headers must not be kept.
        """
        return {"Authorization": self.client._client_wrapper.get_headers()["Authorization"]}

    def get_json(self, path: str, params: Mapping[str, Any], what: str) -> Any:
        """GET a resource that the SDK has no (fast enough) call for; `what` names it in errors."""
        return self._send("GET", path, what, params=dict(params))

    def post_json(self, path: str, body: object, what: str) -> Any:
        """POST JSON to a resource that the SDK has no call for; never repeated by itself."""
        return self._send("POST", path, what, json=body, request_options=WRITE)

    def patch_json(self, path: str, body: object, what: str) -> Any:
        """PATCH a resource that the SDK has no call for; never repeated by itself."""
        return self._send("PATCH", path, what, json=body, request_options=WRITE)

    def delete(self, path: str, what: str) -> None:
        """DELETE a resource that the SDK has no call for."""
        self._send("DELETE", path, what, request_options=WRITE)

    def post_files(
        self, path: str, params: Mapping[str, Any], files: Mapping[str, Any], what: str
    ) -> Any:
        """POST files, by field name as httpx takes them; never repeated by itself."""
        options = {"params": dict(params), "files": dict(files), "request_options": WRITE}
        return self._send("POST", path, what, **options)

    def _send(self, method: str, path: str, what: str, **options: Any) -> Any:
        from label_studio_sdk.core.api_error import ApiError

        with self.request(what):
            response = self.client._client_wrapper.httpx_client.request(
                path, method=method, **options
            )
            body: Any = response.text
            with contextlib.suppress(ValueError):
                body = response.json()
            if response.is_error:
                raise ApiError(status_code=response.status_code, body=body)
            return body

    @contextmanager
    def request(self, what: str) -> Iterator[None]:
        """Translate the errors of the requests in the block; `what` says what they are for.

        Raises:
            ToolError: one line, never holding the key.
        """
        from label_studio_sdk.core.api_error import ApiError

        try:
            yield
        except ApiError as error:
            raise ToolError(self._explain(error.status_code, error.body, what)) from None
        except httpx.TimeoutException:
            raise ToolError(f"Label Studio at {self.url} did not answer in time ({what})") from None
        except httpx.HTTPError as error:
            raise ToolError(
                f"Label Studio is not reachable at {self.url} ({self._redact(str(error))}); is it "
                f"running, and is the address right ({URL_VARIABLE} or --url)?"
            ) from None

    def _explain(self, status: int | None, body: Any, what: str) -> str:
        detail = self._redact(_detail(body))
        said = f": {detail}" if detail else ""
        server = f"Label Studio at {self.url}"
        if status == httpx.codes.UNAUTHORIZED:
            return f"{server} refused the API key{said}; check {KEY_VARIABLE}"
        if status == httpx.codes.FORBIDDEN:
            return f"{server} does not allow this account {what}{said}"
        if what == _CONNECTING and status in (httpx.codes.OK, httpx.codes.NOT_FOUND):
            # A login page before it, or something else altogether.
            return (
                f"no Label Studio answers at {self.url} (status {status}{said}); is the address "
                f"right ({URL_VARIABLE} or --url)?"
            )
        if status == httpx.codes.NOT_FOUND:
            return f"{server} has nothing there ({what}){said}; is the project's number right?"
        return f"{server} answered with status {status} ({what}){said}"

    def _redact(self, text: str) -> str:
        return text.replace(self._key, "***")


def check_connection() -> str | None:
    """Try the server that LABEL_STUDIO_URL names with the key in LABEL_STUDIO_API_KEY.

    Returns:
        Its version, address and account in one line; None where one of the two is not set.

    Raises:
        ToolError: one line, never holding the key.
    """
    if not (os.environ.get(URL_VARIABLE) and os.environ.get(KEY_VARIABLE)):
        return None
    connection = Connection()
    said = connection.get_json("api/version", {}, "its version")
    version = said.get("release") if isinstance(said, dict) else None
    with connection.request("the account"):
        account = connection.client.users.whoami().email
    return f"Label Studio {version or 'of unknown version'} at {connection.url}, as {account}"


@cache
def trusted_certificates() -> ssl.SSLContext:
    """Return the certificates that servers are checked against, read once: it takes 20 ms."""
    return httpx.create_ssl_context()


def project_number(project: str) -> int:
    """Return a project's number; raise `ToolError` when the text is none."""
    if not (project.isascii() and project.isdigit()):
        raise ToolError(
            f"{project!r} is no Label Studio project: expected its number, the one in the address "
            "of the project's page (.../projects/NUMBER)"
        )
    return int(project)


def _limits(url: str) -> httpx.Limits:
    """Return httpx's own limits, but keep no connection open to a server on this machine.

    `label-studio start` sends an answer in several small pieces. On all but the first request of a
    connection, the last one waits 40 ms for our side's delayed acknowledgement.
    """
    local = urlsplit(url).hostname in _LOOPBACK
    return httpx.Limits(max_connections=100, max_keepalive_connections=0 if local else 20)


def _checked_url(url: str | None) -> str:
    """Return the address without trailing slash; it is written to files, so no login may be in."""
    if not url:
        raise ToolError(f"no Label Studio address: set {URL_VARIABLE} or give --url")
    try:
        parts = urlsplit(url.strip())
        valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ToolError("the Label Studio address must look like http://localhost:8080")
    if "@" in parts.netloc:
        raise ToolError(
            f"the Label Studio address must not hold a user name or password; the key belongs in "
            f"{KEY_VARIABLE}"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def _checked_key(key: str) -> str:
    key = key.strip()
    # Anything else can't be sent in a header, and the library's own message would repeat the key.
    if not key or not all("!" <= character <= "~" for character in key):
        raise ToolError(
            f"the Label Studio API key is empty or holds characters that no key has; "
            f"check {KEY_VARIABLE}"
        )
    return key


def _ask_for_key(url: str) -> str:
    if not sys.stdin.isatty():
        raise ToolError(
            f"no API key for Label Studio at {url}: set {KEY_VARIABLE} (Account & Settings in "
            "Label Studio shows yours)"
        )
    return getpass.getpass(f"API key for Label Studio at {url} (input is hidden): ")


def _detail(body: Any) -> str:
    """Return what the server said, on one line; nothing for pages of HTML."""
    if isinstance(body, Mapping):
        said = [str(body["detail"])] if body.get("detail") else []
        if body.get("validation_errors"):
            said.append(str(body["validation_errors"]))
        body = "; ".join(said) or str(body)
    text = " ".join(str(body or "").split())
    return "" if text.startswith("<") else text[:_MAX_DETAIL].rstrip(".")
