"""The secret of a live backend, which every request has to give.

Label Studio sends it as the password of basic authentication. Where a backend is added by hand, the
first part of the address's path may be the secret instead.
"""

import base64
import binascii
import secrets

USER = "sparsedet"
"""The user name that goes with the secret; any other does as well."""

WRONG_SECRET = (
    "wrong or missing secret; give the one that `sparsedet serve` shows when it starts (or "
    "SPARSEDET_SERVE_SECRET) as password, or as first part of the path"
)


def new_secret() -> str:
    """Return a secret that nobody can guess."""
    return secrets.token_urlsafe(24)


def authorization(secret: str) -> str:
    """Return the header `Authorization` that gives a secret."""
    return "Basic " + base64.b64encode(f"{USER}:{secret}".encode()).decode()


def is_right(secret: str, header: str | None, in_path: str | None) -> bool:
    """Return whether a request gives the secret; takes as long whatever it gives.

    Args:
        secret: the right one.
        header: the request's `Authorization`.
        in_path: the first part of its path, where there is one.
    """
    given = _password(header) if in_path is None else in_path.encode()
    return secrets.compare_digest(given, secret.encode())


def _password(header: str | None) -> bytes:
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(encoded, validate=True).partition(b":")[2]
    except binascii.Error:
        return b""
