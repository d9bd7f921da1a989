"""Messages for failed requests: which step failed, and what to do."""

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import httpx

from sparsedet.runtime.web_environment import proxy_variables

from .key_consent import KEY_VARIABLE, URL_VARIABLE
from .transport import is_this_machine

CONNECTING = "connecting"
"""Purpose of the first request: only there the address may be wrong."""

_MAX_DETAIL = 300
AGAIN = "finished work is kept, repeat the command to complete it"
"""What to do after a problem that passes."""
_TOO_LARGE = (
    "if a proxy in front of it limits the size of requests, raise that to at least 100 MB (nginx: "
    "client_max_body_size)"
)
_CERTIFICATE_REFUSED = re.compile(r"certificate verify failed: (.*?)\.?(?: \(_ssl|$)")
_CERTIFICATE = (
    "use the host that it is for, or have it renewed; if your own authority has issued it, name a "
    "PEM file with the certificate of that authority in SSL_CERT_FILE"
)
_TEMPORARY = (408, 429, 500, 502, 503, 504)
"""Statuses of a server that is busy, restarting or out of resources."""
_NOT_SENT = "Authentication credentials were not provided"
"""What Label Studio says of a request without a key."""
_PARSERS = ("label_studio_sdk", "jwt")
"""Packages whose errors mean unexpected answers: the SDK validates little when parsing them."""


def network_problem(error: httpx.HTTPError, url: str, what: str) -> str:
    """Return which step failed and what to do, for a network error."""
    server = f"Label Studio at {url}"
    reason = str(error) or type(error).__name__
    right = f"is it running, and is the address right ({URL_VARIABLE} or --url)?"
    proxy = _proxy(url)
    if proxy:
        reason += f", through the proxy of {proxy}"
        right = f"is the proxy running, and is the address right ({URL_VARIABLE} or --url)?"
    if isinstance(error, httpx.ProxyError):
        return (
            f"the proxy of {proxy} refuses to connect to {server} ({what}: {error}); does it allow "
            "this address, or should NO_PROXY name its host?"
        )
    if refused := _CERTIFICATE_REFUSED.search(reason):
        return f"{server} has a certificate that can't be trusted ({refused[1]}); {_CERTIFICATE}"
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol):
        if what == CONNECTING:
            return f"Label Studio is not reachable at {url} ({reason}); {right}"
        return f"{server} can't be reached any more ({what}: {reason}); {AGAIN}"
    if isinstance(error, httpx.TimeoutException):
        return f"{server} did not answer in time ({what}); {AGAIN}"
    if isinstance(error, httpx.LocalProtocolError):
        # The message may quote what was to be sent, such as a token.
        return f"{server} sent something that makes an invalid request ({what})"
    if isinstance(error, httpx.TooManyRedirects):
        return f"{server} redirects in a circle ({what}); {right}"
    if isinstance(error, httpx.DecodingError):
        return f"{server} sent an answer that can't be decompressed ({what}); {AGAIN}"
    if what == CONNECTING:
        return f"{server} closed the connection ({reason}); {right}"
    return f"the connection to {server} was closed ({what}: {reason}); {AGAIN}"


def refusal(status: int | None, said: str, url: str, what: str, *, by_proxy: bool = False) -> str:
    """Return what a status other than success means.

    Args:
        status: the status.
        said: the server's own message.
        url: the server's address.
        what: purpose of the request.
        by_proxy: Label Studio itself did not answer.
    """
    server = f"Label Studio at {url}"
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        why = _no_access(status, said, server, what, by_proxy=by_proxy)
        return why if what == CONNECTING else f"{why}; {AGAIN}"
    said = f": {said}" if said else ""
    if status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
        proxy = _proxy(url) or "a proxy"
        return f"{proxy} asks for a login ({what}); write it as http://NAME:PASSWORD@HOST:PORT"
    if what == CONNECTING and status == httpx.codes.NOT_FOUND:
        return (
            f"no Label Studio at {url} (status {status}{said}); is the address right "
            f"({URL_VARIABLE} or --url)?"
        )
    if status == httpx.codes.NOT_FOUND:
        return f"{server} found nothing ({what}){said}; is the project's number right?"
    answered = f"{server} answered with status {status} ({what}){said}"
    if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        return f"{answered}; {_TOO_LARGE}"
    if status in _TEMPORARY:
        return f"{answered}; {'try again later' if what == CONNECTING else AGAIN}"
    return answered


def _no_access(status: int, said: str, server: str, what: str, *, by_proxy: bool) -> str:
    if by_proxy:
        return (
            f"a proxy in front of {server} refused the request (status {status}, {what}); use an "
            "address without a login of its own"
        )
    if _NOT_SENT in said:
        return (
            f"{server} did not receive the API key ({what}); does a proxy in front of it remove "
            "the Authorization header?"
        )
    said = f": {said}" if said else ""
    if status == httpx.codes.FORBIDDEN:
        return f"{server} does not allow this account {what}{said}"
    step = "" if what == CONNECTING else f" ({what})"
    return f"{server} refused the API key{said}{step}; check {KEY_VARIABLE}"


def _proxy(url: str) -> str:
    """Return the variables that name the proxy for a server; "" if it is reached directly."""
    return "" if is_this_machine(url) else proxy_variables(url)


def comes_of_parsing(traceback: TracebackType | None) -> bool:
    """Whether an error was raised by a library that parses answers, not by us."""
    modules = []
    while traceback is not None:
        modules.append(str(traceback.tb_frame.f_globals.get("__name__", "")))
        traceback = traceback.tb_next
    parsers = [name for name in modules if name.partition(".")[0] in _PARSERS]
    return bool(parsers) and modules[-1].partition(".")[0] != __name__.partition(".")[0]


def detail(body: Any) -> str:
    """Return the server's message on one line; empty for HTML pages."""
    if isinstance(body, Mapping):
        said = [str(body["detail"])] if body.get("detail") else []
        if body.get("validation_errors"):
            said.append(_texts(body["validation_errors"]))
        body = "; ".join(said) or body
    if isinstance(body, Mapping | list):
        body = _texts(body)
    line = " ".join(str(body or "").split())
    return "" if line.startswith("<") else line[:_MAX_DETAIL].rstrip(".")


def _texts(value: Any, depth: int = 4) -> str:
    """Return the texts of nested JSON, with the names of the fields that they are about."""
    if depth and isinstance(value, Mapping):
        return "; ".join(f"{name}: {_texts(of, depth - 1)}" for name, of in value.items())
    if depth and isinstance(value, list):
        return "; ".join(_texts(of, depth - 1) for of in value)
    return str(value).rstrip(".")
