"""Proxies and certificates for HTTP clients, as the environment names them."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from sparsedet.errors import SetupError

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@cache
def trusted_certificates() -> ssl.SSLContext:
    """Return the trusted certificates, loaded once since that takes 20 ms.

    Raises:
        SetupError: when the environment names a file that has none.
    """
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        reason, where = error.strerror or str(error), _set_of(_CERTIFICATES, "certifi")
        raise SetupError(
            f"{where}: no certificates can be read there ({reason}); name a file of certificates "
            "in PEM format, or unset it"
        ) from None


def proxies() -> dict[str, str]:
    """Return the proxy of each scheme, `all` among them; without a scheme, they are for HTTP."""
    return {
        scheme: url if "://" in url else f"http://{url}"
        for scheme, url in getproxies().items()
        if scheme in ("http", "https", "all")
    }


def proxy_variables(url: str) -> str:
    """Return the variables that name the proxy for an address; "" if it is reached directly."""
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or "") or not {parts.scheme, "all"} & proxies().keys():
        return ""
    return _set_of((f"{parts.scheme.upper()}_PROXY", "ALL_PROXY"), "the system settings")


@contextmanager
def checked_proxies() -> Iterator[None]:
    """Make HTTP clients in the block.

    Raises:
        SetupError: when they can't use the proxies that the environment names. The message quotes
            none of them: they may have passwords.
    """
    try:
        yield
    except ImportError:
        raise SetupError(
            f"{_set_of(_PROXIES, 'system settings')}: SOCKS proxies need another package: "
            "pip install 'httpx[socks]', or name an HTTP proxy"
        ) from None
    except (ValueError, httpx.InvalidURL):
        raise SetupError(
            f"{_set_of(_PROXIES, 'system settings')}: not valid; proxies must look like "
            "http://proxy.example.com:8080"
        ) from None


def _set_of(names: tuple[str, ...], otherwise: str) -> str:
    """Return those of some variables that are set, in any case, or else what counts instead."""
    lower = {name.lower() for name in names}
    found = (name for name, value in os.environ.items() if value and name.lower() in lower)
    return ", ".join(sorted(found)) or otherwise
