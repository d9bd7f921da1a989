"""Address and key of a server, as the user gives them."""

import getpass
import sys
from urllib.parse import urlsplit

from sparsedet.errors import ToolError

from .key_consent import KEY_VARIABLE, URL_VARIABLE


def checked_url(url: str | None) -> str:
    """Return the URL without trailing slash; it is written to files, so logins are refused.

    Raises:
        ToolError: if there is none, or it is not a server's address.
    """
    if not url:
        raise ToolError(f"missing Label Studio address: set {URL_VARIABLE} or pass --url")
    try:
        parts = urlsplit(url.strip())
        valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ToolError("the Label Studio address must look like http://localhost:8080")
    if "/projects" in parts.path:
        raise ToolError(
            "the Label Studio address must look like http://localhost:8080, without /projects and "
            "what follows"
        )
    if "@" in parts.netloc:
        raise ToolError(
            f"the Label Studio address must not contain a user name or password; set the key in "
            f"{KEY_VARIABLE}"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def checked_key(key: str) -> str:
    """Return the key without space around it."""
    key = key.strip()
    # Other characters can't be sent in a header, and the library's message would quote the key.
    if not key or not all("!" <= character <= "~" for character in key):
        raise ToolError(
            f"the Label Studio API key is empty or contains invalid characters; "
            f"check {KEY_VARIABLE}"
        )
    return key


def ask_for_key(url: str) -> str:
    """Ask for the key on the terminal."""
    if not sys.stdin.isatty():
        raise ToolError(
            f"missing API key for Label Studio at {url}: set {KEY_VARIABLE} (shown in Account & "
            "Settings in Label Studio)"
        )
    return getpass.getpass(f"API key for Label Studio at {url} (input is hidden): ")
