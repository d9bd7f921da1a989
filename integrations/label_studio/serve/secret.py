"""The secret of a live backend, required in every request.

Label Studio sends it as the password of basic authentication. If a backend is added by hand, the
secret may be the first part of the URL's path instead.
"""

import base64
import secrets

USER = "sparsedet"
"""The user name to use with the secret; any other one works too."""

WRONG_SECRET = (
    "wrong or missing secret; pass the one that `sparsedet serve` prints at startup (or "
    "SPARSEDET_SERVE_SECRET) as password, or as first part of the path"
)


def new_secret() -> str:
    """Return a random secret."""
    return secrets.token_urlsafe(24)


def authorization(secret: str) -> str:
    """Return the `Authorization` header for a secret."""
    return "Basic " + base64.b64encode(f"{USER}:{secret}".encode()).decode()


def is_right(secret: str, header: str | None, in_path: str | None) -> bool:
    """Return whether a request has the secret, in constant time.

    Args:
        secret: the right one.
        header: the request's `Authorization`.
        in_path: the first part of its path, if any.
    """
    given = _password(header) if in_path is None else in_path.encode()
    return secrets.compare_digest(given, secret.encode())


def _password(header: str | None) -> bytes:
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(encoded, validate=True).partition(b":")[2]
    except ValueError:  # not Base64, or not even ASCII
        return b""
